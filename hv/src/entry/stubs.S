# Every way into the hypervisor from a running CPU, and the two ways out.
#
# All entries build one pv_cpu::Registers (168 bytes; lowest address r15, highest ss):
#
#   offset   0 .. 119   r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi
#          120          error code (32 bits), entry vector (32 bits)
#          128 .. 167   rip cs rflags rsp ss          (pushed by the CPU, or by the SYSCALL stub as the CPU would)
#
# From a guest it lies at the top of the CPU's main stack (cpu::block), because TSS.rsp0 and the SYSCALL stub point
# there; from the hypervisor itself it lies wherever the stack was. The CPU aligns the stack to 16 before it pushes five
# words, so the frame starts at 8 modulo 16, and 8 more bytes align it for a call. Braced names are Rust constants.

.macro SAVE_REGISTERS
    push %rdi
    push %rsi
    push %rdx
    push %rcx
    push %rax
    push %r8
    push %r9
    push %r10
    push %r11
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
.endm

# On the way out the register file lies 8 bytes above rsp. It is read where it is, which leaves out what a way does not
# need; moving the stack pointer through it takes an instruction for every word.
.set  file, 8

# Restores all but rcx and r11, which each way out treats in its own manner.
.macro RESTORE_REGISTERS
    mov   file + 0(%rsp), %r15
    mov   file + 8(%rsp), %r14
    mov   file + 16(%rsp), %r13
    mov   file + 24(%rsp), %r12
    mov   file + 32(%rsp), %rbp
    mov   file + 40(%rsp), %rbx
    mov   file + 56(%rsp), %r10
    mov   file + 64(%rsp), %r9
    mov   file + 72(%rsp), %r8
    mov   file + 80(%rsp), %rax
    mov   file + 96(%rsp), %rdx
    mov   file + 104(%rsp), %rsi
    mov   file + 112(%rsp), %rdi
.endm

# Restores all of them, and leaves rsp at what IRET loads.
.macro RESTORE_FOR_IRET
    RESTORE_REGISTERS
    mov   file + 48(%rsp), %r11
    mov   file + 88(%rsp), %rcx
    add   $file + 128, %rsp
.endm

# Three bytes that cpu::features turns into CLAC (0f 01 ca) where the CPU has SMAP.
.macro CLAC_SITE
.Lclac_site\@:
    nopl (%rax)
    .pushsection .clac_sites, "a"
    .quad .Lclac_site\@
    .popsection
.endm

.section .text.entry, "ax"

# The page that every CPU sees at the start of its own block: SYSCALL has no stack switch, and the distance from here to
# the CPU's stack top is the same in every block.
.balign 4096
.global entry_syscall_page
entry_syscall_page:
    .byte 0x48, 0x89, 0x25                              # mov %rsp, registers.rsp(%rip)
    .long {registers_rsp} - 7
    .byte 0x48, 0x8D, 0x25                              # lea registers.rsp(%rip), %rsp
    .long {registers_rsp} - 14
    .byte 0xFF, 0x25                                    # jmp *pointer(%rip)
    .long {syscall_pointer} - 20
.org entry_syscall_page + {compat_entry}
    .byte 0x48, 0x89, 0x25                              # the same for 32-bit code (CSTAR)
    .long {registers_rsp} - {compat_entry} - 7
    .byte 0x48, 0x8D, 0x25
    .long {registers_rsp} - {compat_entry} - 14
    .byte 0xFF, 0x25
    .long {compat_pointer} - {compat_entry} - 20
.org entry_syscall_page + {syscall_pointer}
    .quad entry_syscall
.org entry_syscall_page + {compat_pointer}
    .quad entry_compat_syscall
.org entry_syscall_page + 4096, 0xCC

# SYSCALL, 64-bit code. In: rsp at registers.rsp (already saved), rcx = rip, r11 = flags; flags masked by FMASK.
.balign 16
entry_syscall:
    movq  ${flat_stack}, 8(%rsp)
    push  %r11
    pushq ${flat_code}
    push  %rcx
    pushq $0
    movl  ${syscall_vector}, 4(%rsp)
    SAVE_REGISTERS
    mov   %rsp, %rdi
    sub   $8, %rsp
    call  {from_syscall}
entry_leave:
    test  %al, %al
    jz    entry_leave_by_iret
    RESTORE_REGISTERS
    mov   file + 128(%rsp), %rcx
    mov   file + 144(%rsp), %r11
    mov   file + 152(%rsp), %rsp
    sysretq

.balign 16
entry_leave_by_iret:
    RESTORE_FOR_IRET
.global entry_iret
entry_iret:
    iretq

# SYSCALL, 32-bit code (only on CPUs that have it). As above with the 32-bit selectors.
.balign 16
entry_compat_syscall:
    movq  ${flat_stack}, 8(%rsp)
    push  %r11
    pushq ${flat_code32}
    push  %rcx
    pushq $0
    movl  ${compat_vector}, 4(%rsp)
    SAVE_REGISTERS
    mov   %rsp, %rdi
    sub   $8, %rsp
    call  {from_compat_syscall}
    jmp   entry_leave

# SYSENTER: the CPU saves nothing. rsp comes from SYSENTER_ESP, the end of the register file.
.balign 16
.global entry_sysenter
entry_sysenter:
    pushq ${flat_stack}
    pushq $0
    pushq ${sysenter_flags}
    pushq ${flat_code32}
    pushq $0
    pushq $0
    movl  ${sysenter_vector}, 4(%rsp)
    CLAC_SITE
    cld
    SAVE_REGISTERS
    mov   %rsp, %rdi
    sub   $8, %rsp
    call  {from_sysenter}
    jmp   entry_leave

# Exceptions and interrupts: 256 stubs of 16 bytes. Vectors 8, 10-14, 17, 21, 29 and 30 push an error code.
.balign 16
.global entry_vectors
entry_vectors:
.set vector, 0
.rept 256
    .balign 16
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    pushq $0
    .endif
    movl  $vector, 4(%rsp)
    .if (vector == 2) || (vector == 8) || (vector == 18)
    jmp   entry_on_own_stack
    .elseif vector == 1
    jmp   entry_debug
    .elseif vector < 32 || vector == {system_call_vector}
    jmp   entry_exception
    .else
    jmp   entry_interrupt
    .endif
    .set vector, vector + 1
.endr

.macro SERVE function
    CLAC_SITE
    cld
    SAVE_REGISTERS
    mov   %rsp, %rdi
    sub   $8, %rsp
    testb $3, 136(%rdi)
    jz    entry_from_hypervisor
    call  \function
    jmp   entry_leave
.endm

.balign 16
entry_exception:
    SERVE {exception}

.balign 16
entry_interrupt:
    SERVE {interrupt}

entry_from_hypervisor:
    call  {from_hypervisor}
    RESTORE_FOR_IRET
    iretq

# #DB has a stack of its own, because a guest can make it follow SYSCALL before the entry has a stack (a breakpoint that
# MOV SS held back). From a guest, the six words are copied to where every other entry has them; neither lea nor mov
# changes anything else. From the hypervisor it returns to exactly where it came from, like the others below.
.balign 16
entry_debug:
    testb $3, 16(%rsp)
    jz    entry_on_own_stack
    push  %rax
    .set  offset, 0
    .rept 6
    mov   8 + offset(%rsp), %rax
    mov   %rax, {debug_distance} + 8 + offset(%rsp)
    .set  offset, offset + 8
    .endr
    pop   %rax
    lea   {debug_distance}(%rsp), %rsp
    jmp   entry_exception

# NMI, double fault and machine check have stacks of their own and return to exactly where they came from.
.balign 16
entry_on_own_stack:
    CLAC_SITE
    cld
    SAVE_REGISTERS
    mov   %rsp, %rdi
    sub   $8, %rsp
    call  {on_own_stack}
    RESTORE_FOR_IRET
    iretq

# Drops whatever is on the stack and leaves through the gate. In: rdi = the CPU's register file.
.balign 16
.global entry_restart
entry_restart:
    lea   -8(%rdi), %rsp
    call  {restart}
    jmp   entry_leave

# Goes on from a fault in hypervisor code as if the faulting instruction had called fault_as_panic, so that the unwinder
# finds the frames above. In: rdi = register file of the fault. One is added to rip because the unwinder looks at the byte
# before a return address.
.balign 16
.global entry_unwind_from
entry_unwind_from:
    mov   0(%rdi), %r15
    mov   8(%rdi), %r14
    mov   16(%rdi), %r13
    mov   24(%rdi), %r12
    mov   32(%rdi), %rbp
    mov   40(%rdi), %rbx
    mov   128(%rdi), %rax
    inc   %rax
    mov   152(%rdi), %rsp
    push  %rax
entry_fault_as_panic:
    .cfi_startproc
    push  %rbx
    .cfi_def_cfa_offset 16
    .cfi_offset %rbx, -16
    mov   %rsp, %rbx
    .cfi_def_cfa_register %rbx
    and   $-16, %rsp
    call  {fault_as_panic}
    ud2
    .cfi_endproc

# Accesses that may fault. Each range in .fixup is first, end, continue at: a fault inside it continues there.
.macro FIXUP first, end, target
    .pushsection .fixup, "a"
    .quad \first, \end, \target
    .popsection
.endm

.macro STAC_SITE
.Lstac_site\@:
    nopl (%rax)
    .pushsection .stac_sites, "a"
    .quad .Lstac_site\@
    .popsection
.endm

# rax = 0 when rdx bytes were copied from rsi to rdi, 1 when guest memory could not be reached.
.balign 16
.global entry_guest_copy
entry_guest_copy:
    STAC_SITE
    mov   %rdx, %rcx
    shr   $3, %rcx
1:  rep movsq
    mov   %edx, %ecx
    and   $7, %ecx
    rep movsb
2:  xor   %eax, %eax
    CLAC_SITE
    ret
3:  mov   $1, %eax
    CLAC_SITE
    ret
    FIXUP 1b, 2b, 3b

# rax = 0 when the model-specific register edi was read (value through rsi), 1 when it does not exist.
.balign 16
.global entry_read_msr
entry_read_msr:
    mov   %edi, %ecx
1:  rdmsr
2:  shl   $32, %rdx
    or    %rdx, %rax
    mov   %rax, (%rsi)
    xor   %eax, %eax
    ret
3:  mov   $1, %eax
    ret
    FIXUP 1b, 2b, 3b

# rax = 0 when rsi was written to the model-specific register edi, 1 when the CPU refused.
.balign 16
.global entry_write_msr
entry_write_msr:
    mov   %edi, %ecx
    mov   %esi, %eax
    mov   %rsi, %rdx
    shr   $32, %rdx
1:  wrmsr
2:  xor   %eax, %eax
    ret
3:  mov   $1, %eax
    ret
    FIXUP 1b, 2b, 3b

# Loads ds (di), es (si), fs (dx) and gs (cx, of the guest's other mode's base too: gs's own base is set afterwards).
# rax = how many could not be loaded; those are null.
.balign 16
.global entry_load_selectors
entry_load_selectors:
    xor   %eax, %eax
1:  mov   %edi, %ds
2:  mov   %esi, %es
3:  mov   %edx, %fs
4:  mov   %ecx, %gs
5:  ret
11: inc   %eax
    xor   %edi, %edi
    jmp   1b
12: inc   %eax
    xor   %esi, %esi
    jmp   2b
13: inc   %eax
    xor   %edx, %edx
    jmp   3b
14: inc   %eax
    xor   %ecx, %ecx
    jmp   4b
    FIXUP 1b, 2b, 11b
    FIXUP 2b, 3b, 12b
    FIXUP 3b, 4b, 13b
    FIXUP 4b, 5b, 14b

# Restores SSE, AVX and x87 state from rdi, components edx:esi. rax = 1 when the image is one the CPU refuses.
.balign 16
.global entry_restore_extended_state
entry_restore_extended_state:
    mov   %esi, %eax
1:  xrstor64 (%rdi)
2:  xor   %eax, %eax
    ret
3:  mov   $1, %eax
    ret
    FIXUP 1b, 2b, 3b
