#: about = "the daemons are up; a domain is created paused, runs, is destroyed"
#: pace = "quick"
domains | lines list
config small 'cap = 25'
told create xl create -p small.cfg
domains | lines list-paused
told unpause xl unpause small
hears small 60 GRUB
verdict runs "$(console small | wc -l) lines"
told destroy xl destroy small
gone small
verdict gone
