# What the scenarios of both xenstored implementations do; sourced with $scenario set.
told write xenstore-write /tool/test/one first /tool/test/two/three 'second value'
told read xenstore-read /tool/test/one /tool/test/two/three
told list xenstore-list /tool/test
told list-full xenstore-list -p /tool/test
told ls xenstore-ls -f /tool/test
told exists xenstore-exists /tool/test/one
told exists-not xenstore-exists /tool/test/none
told read-not xenstore-read /tool/test/none
told write-wrong xenstore-write test//one x
told chmod xenstore-chmod /tool/test/one n0 r5
told ls-permissions xenstore-ls -p /tool/test
told remove xenstore-rm /tool/test/one
told list-after xenstore-list /tool/test
# A watch fires once for itself and once for each change.
timeout 20 xenstore-watch -n 3 /tool/test/watched > watched 2>&1 &
sleep 2
xenstore-write /tool/test/watched 1
sleep 1
xenstore-write /tool/test/watched/below 2
wait
lines watch < watched
told remove-all xenstore-rm /tool/test
xenstore-ls /tool 2>&1 | plain | lines tool
xenstore-ls /local/domain/0 2>&1 | grep -vE 'memory|target|static-max' | lines dom0
config one
told create xl create -p one.cfg
id=$(xl domid one)
xenstore-ls -p "/local/domain/$id" 2>&1 | plain | sed -E "s/\\b$id\\b/ID/g"';s/(ring-ref|port|static-max|tty) = "[^"]*"/\1 = N/; s/[0-9a-f]{8}-[0-9a-f-]{27}/UUID/; s/( +[.])+ +/ . /' | lines domain
xenstore-ls /libxl 2>&1 | sed -E "s/\\b$id\\b/ID/g"';s/[0-9a-f]{8}-[0-9a-f-]{27}/UUID/; s/( +[.])+ +/ . /' | lines libxl
told destroy xl destroy one
xenstore-ls "/local/domain/$id" 2>&1 | sed "s/$id/ID/" | lines domain-gone
"$(xen_directory)/bin/test-xenstore" -i 100 > speed 2>&1
value test-xenstore.status $?
sed -E 's/[0-9]+/N/g' speed | lines test-xenstore
