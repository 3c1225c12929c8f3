//! Zstandard through `ruzstd`; the frame's own checksum is verified if it has one.

use crate::error::UnpackError;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError};

/// Largest window accepted: what `zstd -22 --ultra`, Linux's choice, declares.
const WINDOW_LIMIT: u64 = 128 << 20;

/// Unpacks all frames; returns the bytes written.
pub(super) fn unpack(data: &[u8], output: &mut [u8]) -> Result<usize, UnpackError> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW_LIMIT);
    let written = decoder.decode_all(data, output).map_err(|error| match error {
        FrameDecoderError::TargetTooSmall => UnpackError::OutputOverrun,
        FrameDecoderError::WindowSizeTooBig { requested, .. } => UnpackError::Window(requested),
        FrameDecoderError::FailedToReadBlockHeader(_) | FrameDecoderError::FailedToReadChecksum(_) => {
            UnpackError::InputEnded
        }
        FrameDecoderError::ReadFrameHeaderError(_) => UnpackError::Corrupt("bad zstd frame header"),
        FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { got }) => UnpackError::Window(got),
        _ => UnpackError::Corrupt("bad zstd frame"),
    })?;
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(stored), Some(computed)) if stored != computed => Err(UnpackError::Checksum { stored, computed }),
        _ => Ok(written),
    }
}
