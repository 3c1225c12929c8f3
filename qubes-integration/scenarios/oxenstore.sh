#: about = "the same on oxenstored"
#: store = "ocaml"
. /run/toolstack/xenstore-steps.sh
