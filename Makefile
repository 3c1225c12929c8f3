# Xenolith: set-up, build, run and test. `make run` and `make test` are all a newcomer needs.
#
# Debian's own compiler builds everything: it brings core's source, which the bare-metal image is built from.
CARGO := PATH=/usr/bin:$$PATH RUSTC=/usr/bin/rustc /usr/bin/cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
RUNNER = $(TARGET)/debug/compat-runner

.PHONY: all setup build run run-small test test-full compare lint host-tests xtf compat runner clean

all: build

setup:
	@scripts/setup.sh

# The plain image for multiboot1 loaders (QEMU -kernel) and the gzipped one for /boot.
build: setup
	@scripts/build-image.sh

runner: setup
	@$(CARGO) build --quiet -p compat-runner

# A Debian dom0 with Debian's own toolstack and its daemons up, and a root shell on the serial line: `xl info`,
# `xl create -c ...`; leave it with `poweroff -f` or Ctrl-a x.
run: build runner
	@$(RUNNER) toolstack --shell --on xenolith

# The same kernel as dom0 with nothing but busybox in an initial RAM disk: up in seconds.
run-small: build runner
	@$(RUNNER) linux shell --on xenolith

test: setup
	@scripts/test.sh quick

test-full: export TOOLS := 4.17 4.20
test-full: export GUEST_KERNELS := 5.10
test-full: setup
	@scripts/test.sh full

# Everything on Debian's Xen and on Xenolith in one run: target/compare/report.html. XTF=<built checkout> adds its tests; OPTIONS:
# `compat-runner compare --help`.
compare: build runner
	@command -v chromium >/dev/null || apt-get install -qq -y --no-install-recommends chromium >/dev/null || \
		echo "chromium is not installed and apt-get cannot install it: the page will not be checked" >&2
	@$(RUNNER) compare $(if $(XTF),--xtf "$(XTF)") $(OPTIONS)

lint: setup
	@scripts/lint.sh

host-tests: setup
	@$(CARGO) test --quiet

# The tests of a built checkout of XTF (andyhhp/xtf) on Debian's Xen and on Xenolith: make xtf XTF=<checkout>
xtf:
	@[ -n "$(XTF)" ] || { echo "say where a built checkout of XTF is: make xtf XTF=<checkout>" >&2; exit 2; }
	@$(MAKE) --no-print-directory build runner
	@$(RUNNER) xtf "$(XTF)"

clean:
	rm -rf target
