#: about = "the xenstore tools on the C xenstored: write, read, list, permissions, watch, test-xenstore"
#: pace = "quick"
. /run/toolstack/xenstore-steps.sh
