# Start of every CPU but the first: real mode to long mode.
#
# Copied to a page below 1 MiB (cpu/smp.rs), which the start-up IPI names: cs = page * 256, ip = 0. The last words of the
# page are its parameters: {root} 32-bit address of a top-level table that maps this page at its own address, {stack} the
# main stack, {target} where to go. Everything is addressed relative to the page, whose address is in ebp once known.

.section .rodata.trampoline, "a"
.balign 16
.global trampoline_start
trampoline_start:
.code16
    cli
    cld
    xor   %ebp, %ebp
    mov   %cs, %bp
    mov   %bp, %ds
    shl   $4, %ebp                                      # linear address of this page
    # Pointers that need the page's address.
    lea   (trampoline_gdt - trampoline_start)(%ebp), %eax
    mov   %eax, trampoline_gdt_pointer - trampoline_start + 2
    lea   (trampoline_protected - trampoline_start)(%ebp), %eax
    mov   %eax, trampoline_far - trampoline_start
    lgdtl trampoline_gdt_pointer - trampoline_start
    mov   %cr0, %eax
    or    $1, %al
    mov   %eax, %cr0
    ljmpl *(trampoline_far - trampoline_start)

.code32
trampoline_protected:
    mov   $0x10, %eax
    mov   %ax, %ds
    mov   %ax, %ss
    mov   $0x20, %eax                                   # CR4.PAE
    mov   %eax, %cr4
    mov   {root}(%ebp), %eax
    mov   %eax, %cr3
    mov   $0xC0000080, %ecx                             # EFER: NXE, LME, SCE
    rdmsr
    or    $0x901, %eax
    wrmsr
    lea   (trampoline_long - trampoline_start)(%ebp), %eax
    mov   %eax, trampoline_far - trampoline_start(%ebp)
    movw  $0x18, trampoline_far - trampoline_start + 4(%ebp)
    mov   $0x80050033, %eax                             # CR0: PG AM WP NE ET MP PE
    mov   %eax, %cr0
    ljmp  *(trampoline_far - trampoline_start)(%ebp)

.code64
trampoline_long:
    mov   %ebp, %ebp
    mov   {stack}(%rbp), %rsp
    mov   {target}(%rbp), %rax
    xor   %ebp, %ebp
    call  *%rax
    ud2

.balign 8
trampoline_gdt:
    .quad 0
    .quad 0x00CF9A000000FFFF                            # 0x08: 32-bit code
    .quad 0x00CF92000000FFFF                            # 0x10: data
    .quad 0x00AF9A000000FFFF                            # 0x18: 64-bit code
trampoline_gdt_pointer:
    .short trampoline_gdt_pointer - trampoline_gdt - 1
    .long 0
    .short 0
trampoline_far:
    .long 0
    .short 0x08
.global trampoline_end
trampoline_end:
.code64
