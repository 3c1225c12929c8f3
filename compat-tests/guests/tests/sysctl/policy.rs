//! get_cpu_levelling_caps, get_cpu_featureset, get_cpu_policy.

use compat_guests::buffer::Buffer;
use compat_guests::control::{make, sysctl};
use compat_guests::memory;
use compat_guests::report::{result, value_at};

pub fn all() {
    let mut request = sysctl(25).u32(8, 0x5555_5555);
    result(format_args!("levelling"), make(&mut request));
    value_at(format_args!("levelling.capabilities"), request.get_u32(8).into());
    for index in 0u32..8 {
        featureset(index);
        policy(index);
    }
    bad();
}

pub fn featureset(index: u32) {
    let mut request = sysctl(26).u32(8, index);
    result(format_args!("featureset.{index}.size"), make(&mut request));
    value_at(format_args!("featureset.{index}.size.count"), request.get_u32(12).into());
    for room in [0u32, 1, 40] {
        let mut words = Buffer::<160>::filled(0x55);
        let mut request = sysctl(26).u32(8, index).u32(12, room).u64(16, words.address());
        result(format_args!("featureset.{index}.{room}"), make(&mut request));
        value_at(format_args!("featureset.{index}.{room}.count"), request.get_u32(12).into());
        if room == 40 && words.get_u32(0) != 0x5555_5555 {
            for word in 0..20 {
                value_at(format_args!("featureset.{index}.word.{word}"), words.get_u32(word * 4).into());
            }
        }
    }
}

pub fn policy(index: u32) {
    let mut request = sysctl(29).u32(8, index);
    result(format_args!("policy.{index}.size"), make(&mut request));
    let (leaves, msrs) = (request.get_u32(12), request.get_u32(16));
    value_at(format_args!("policy.{index}.size.leaves"), leaves.into());
    value_at(format_args!("policy.{index}.size.msrs"), msrs.into());
    let (leaf_array, msr_array) = (memory::page(), memory::page());
    let mut request = sysctl(29).u32(8, index).u32(12, 150).u32(16, 100).u64(24, leaf_array).u64(32, msr_array);
    let outcome = make(&mut request);
    result(format_args!("policy.{index}"), outcome);
    let (leaves, msrs) = if outcome == 0 { (request.get_u32(12), request.get_u32(16)) } else { (0, 0) };
    value_at(format_args!("policy.{index}.leaves"), leaves.into());
    value_at(format_args!("policy.{index}.msrs"), msrs.into());
    for number in 0..leaves.min(150) as u64 {
        let word = |offset: u64| memory::read(leaf_array + number * 24 + offset);
        let (name, low, high) = (word(0), word(8), word(16));
        // The frequency of the virtual APIC id and the like come from the CPU that answers.
        value_at(format_args!("policy.{index}.leaf.{:x}.{:x}.ab", name as u32, name >> 32), low);
        value_at(format_args!("policy.{index}.leaf.{:x}.{:x}.cd", name as u32, name >> 32), high);
    }
    for number in 0..msrs.min(100) as u64 {
        let word = |offset: u64| memory::read(msr_array + number * 16 + offset);
        value_at(format_args!("policy.{index}.msr.{:x}", word(0)), word(8));
    }
    let mut request = sysctl(29).u32(8, index).u32(12, 2).u32(16, 0).u64(24, leaf_array).u64(32, msr_array);
    result(format_args!("policy.{index}.small"), make(&mut request));
    value_at(format_args!("policy.{index}.small.leaves"), request.get_u32(12).into());
    let mut request = sysctl(29).u32(8, index).u32(12, 150).u32(16, 0).u64(24, leaf_array).u64(32, msr_array);
    result(format_args!("policy.{index}.few_msrs"), make(&mut request));
    value_at(format_args!("policy.{index}.few_msrs.leaves"), request.get_u32(12).into());
    value_at(format_args!("policy.{index}.few_msrs.msrs"), request.get_u32(16).into());
}

fn bad() {
    let nowhere = 0xffff_8000_0000_0000;
    result(format_args!("featureset.bad"), make(&mut sysctl(26).u32(8, 1).u32(12, 40).u64(16, nowhere)));
    result(format_args!("policy.bad"), make(&mut sysctl(29).u32(8, 1).u32(12, 150).u64(24, nowhere)));
    result(format_args!("policy.reserved"), make(&mut sysctl(29).u32(8, 1).u32(20, 1)));
    result(format_args!("policy.unmapped"), make(&mut sysctl(29).u32(8, 1).u32(12, 150).u64(24, 0x1000)));
}
