# From the boot loader to long mode: multiboot 1 and 2 headers, CPU checks, first page tables.
#
# Entered in 32-bit protected mode, paging off, eax = loader's magic, ebx = its information block (multiboot 1, 3.2;
# multiboot 2, 3.3). Leaves in 64-bit mode on the boot stack, calling rust_start(edi = magic, esi = information).
# The tables built here map the first 4 GiB at 0 and again at the direct map (slot 262), and the image at its linked
# address with 2 MiB pages; memory/tables.rs replaces them. Nothing here survives that but the bytes in .boot.bss.
# Constants in braces come from Rust (boot/start.rs). PHYS(x) is where the loader put x.

.section .boot.header, "a"
.balign 8
multiboot1_header:
    .long 0x1BADB002                                    # magic
    .long 0x00000003                                    # page-aligned modules, memory map
    .long -(0x1BADB002 + 0x00000003)
.balign 8
multiboot2_header:
    .long 0xE85250D6                                    # magic
    .long 0                                             # 32-bit protected mode
    .long multiboot2_end - multiboot2_header
    .long 0x100000000 - (0xE85250D6 + (multiboot2_end - multiboot2_header))
    .short 0, 0                                         # end tag
    .long 8
multiboot2_end:

.section .boot.text, "ax"
.code32
.global boot_start
boot_start:
    cli
    cld
    mov   %eax, boot_magic - {image_base} + {load_base}
    mov   %ebx, boot_information - {image_base} + {load_base}
    mov   $(boot_stack_top - {image_base} + {load_base}), %esp

    # Long mode, NX and SSE2, or a sentence and a halt.
    mov   $0x80000000, %eax
    cpuid
    mov   $(boot_no_long_mode - {image_base} + {load_base}), %esi
    cmp   $0x80000001, %eax
    jb    boot_refuse
    mov   $0x80000001, %eax
    cpuid
    bt    $29, %edx
    jnc   boot_refuse
    mov   $(boot_no_nx - {image_base} + {load_base}), %esi
    bt    $20, %edx
    jnc   boot_refuse
    mov   $1, %eax
    cpuid
    mov   $(boot_no_sse2 - {image_base} + {load_base}), %esi
    bt    $26, %edx
    jnc   boot_refuse
    mov   $(boot_no_apic - {image_base} + {load_base}), %esi
    bt    $9, %edx
    jnc   boot_refuse

    call  boot_fill_tables
    mov   $(boot_l4 - {image_base} + {load_base}), %eax
    mov   %eax, %cr3
    mov   $0x20, %eax                                   # CR4.PAE
    mov   %eax, %cr4
    mov   $0xC0000080, %ecx                             # EFER: NXE, LME, SCE
    rdmsr
    or    $0x901, %eax
    wrmsr
    mov   $0x80050033, %eax                             # CR0: PG WP NE ET MP PE AM
    mov   %eax, %cr0
    lgdt  boot_gdt_pointer - {image_base} + {load_base}
    ljmp  $0x08, $(boot_long_mode - {image_base} + {load_base})

# Fills boot_l4 and what hangs below it. Clobbers eax, ecx, edi.
boot_fill_tables:
    # 2048 entries of 2 MiB: the first 4 GiB.
    mov   $(boot_l2_low - {image_base} + {load_base}), %edi
    mov   $0x83, %eax
    mov   $2048, %ecx
1:  mov   %eax, (%edi)
    movl  $0, 4(%edi)
    add   $0x200000, %eax
    add   $8, %edi
    loop  1b
    # Four L3 entries for them.
    mov   $(boot_l3_low - {image_base} + {load_base}), %edi
    mov   $(boot_l2_low - {image_base} + {load_base} + 3), %eax
    mov   $4, %ecx
2:  mov   %eax, (%edi)
    add   $0x1000, %eax
    add   $8, %edi
    loop  2b
    # Eight entries of 2 MiB: the image.
    mov   $(boot_l2_image - {image_base} + {load_base}), %edi
    mov   $({load_base} + 0x83), %eax
    mov   $8, %ecx
3:  mov   %eax, (%edi)
    add   $0x200000, %eax
    add   $8, %edi
    loop  3b
    movl  $(boot_l2_image - {image_base} + {load_base} + 3), boot_l3_image - {image_base} + {load_base} + 8 * {image_l3_slot}
    movl  $(boot_l3_low - {image_base} + {load_base} + 3), boot_l4 - {image_base} + {load_base}
    movl  $(boot_l3_image - {image_base} + {load_base} + 3), boot_l4 - {image_base} + {load_base} + 8 * {image_l4_slot}
    movl  $(boot_l3_low - {image_base} + {load_base} + 3), boot_l4 - {image_base} + {load_base} + 8 * {direct_l4_slot}
    ret

# Prints the sentence at esi on COM1 and on the VGA text screen, then halts.
boot_refuse:
    mov   $0xB8000, %edi
1:  lodsb
    test  %al, %al
    jz    3f
    mov   %al, %bl
    mov   $0x0F, %ah
    stosw
    mov   $0x3FD, %dx
2:  inb   %dx, %al
    test  $0x20, %al
    jz    2b
    mov   $0x3F8, %dx
    mov   %bl, %al
    outb  %al, %dx
    jmp   1b
3:  hlt
    jmp   3b

boot_no_long_mode:
    .asciz "(XEN) Xenolith needs a 64-bit CPU: CPUID 0x80000001 EDX bit 29 (long mode) is clear. Halted.\r\n"
boot_no_nx:
    .asciz "(XEN) Xenolith needs no-execute pages: CPUID 0x80000001 EDX bit 20 (NX) is clear. Halted.\r\n"
boot_no_sse2:
    .asciz "(XEN) Xenolith needs SSE2: CPUID 1 EDX bit 26 is clear. Halted.\r\n"
boot_no_apic:
    .asciz "(XEN) Xenolith needs a local APIC: CPUID 1 EDX bit 9 is clear. Halted.\r\n"

.balign 8
boot_gdt:
    .quad 0
    .quad 0x00AF9A000000FFFF                            # 0x08: 64-bit code, ring 0
    .quad 0x00CF92000000FFFF                            # 0x10: data, ring 0
boot_gdt_pointer:
    .short boot_gdt_pointer - boot_gdt - 1
    .long boot_gdt - {image_base} + {load_base}

.code64
boot_long_mode:
    mov   $0x10, %eax
    mov   %eax, %ds
    mov   %eax, %es
    mov   %eax, %ss
    xor   %eax, %eax
    mov   %eax, %fs
    mov   %eax, %gs
    movabs $boot_high, %rax
    jmp   *%rax
boot_high:
    lea   boot_stack_top(%rip), %rsp
    mov   boot_magic(%rip), %edi
    mov   boot_information(%rip), %esi
    xor   %ebp, %ebp
    call  {rust_start}
    ud2

.section .boot.bss, "aw", @nobits
.balign 4096
boot_l4:         .skip 4096
boot_l3_low:     .skip 4096
boot_l3_image:   .skip 4096
boot_l2_image:   .skip 4096
boot_l2_low:     .skip 4 * 4096
.global boot_stack_bottom
boot_stack_bottom: .skip 163840
boot_stack_top:
boot_magic:      .skip 4
boot_information: .skip 4
