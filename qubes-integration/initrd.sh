# Functions that make initial RAM disks; sourced by the make-*.sh scripts.

# busybox_root ROOT: a root directory with busybox and nothing else.
busybox_root() {
    local root=$1 applet
    mkdir -p "$root"/{bin,dev,etc,lib/modules,mnt,proc,root,run,sys,tmp}
    cp "$(command -v busybox)" "$root/bin/busybox"
    for applet in $("$root/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
    done
}

# take_modules KERNEL ROOT NAMES: modules of an unpacked kernel package with the modules they need, and their index.
# A name the kernel has built in is fine, a name it does not know ends the making.
take_modules() {
    local modules version root=$2 name pattern file
    modules=$(readlink -f "$1/modules")
    version=$(basename "$modules")
    for name in $3; do
        pattern="(^|/)${name//[-_]/[-_]}\.ko"
        if grep -qE "$pattern:" "$modules/modules.dep"; then
            grep -E "$pattern:" "$modules/modules.dep" | tr -d : | tr ' ' '\n'
        elif ! grep -qE "$pattern" "$modules/modules.builtin"; then
            echo "initrd: kernel $version has no module $name" >&2
            return 1
        fi
    done | sort -u | while read -r file; do
        mkdir -p "$root/lib/modules/$version/$(dirname "$file")"
        cp "$modules/$file" "$root/lib/modules/$version/$file"
    done
    cp "$modules"/modules.{builtin,order} "$root/lib/modules/$version/"
    # Its one complaint, that no list of built-in modules' parameters exists, does not matter here.
    PATH=$PATH:/sbin:/usr/sbin depmod -b "$root" "$version" 2>&1 | grep -v modules.builtin.modinfo >&2 || true
}

# pack ROOT OUTPUT: the directory as a compressed archive that a kernel takes.
pack() {
    mkdir -p "$(dirname "$2")"
    (cd "$1" && find . | sort | cpio --quiet -o -H newc -R 0:0 --reproducible) | gzip -n -1 > "$2.part.$$"
    mv "$2.part.$$" "$2"
}
