#: about = "rounds of create and destroy; free memory is the same to the page after each"
#: limit = 5400
rounds=$(parameter rounds)
rounds=${rounds:-20}
config one
free() { xl info free_memory; }
xl create -p one.cfg > /dev/null && xl destroy one
before=$(free)
kept=0 round=0
while [ $round -lt $rounds ]; do
    round=$((round + 1))
    xl create -p one.cfg > out 2>&1 || value "create-$round" "$(tail -n 1 out)"
    xl destroy one || value "destroy-$round" failed
    [ "$(free)" = "$before" ] && kept=$((kept + 1))
done
[ $kept = $rounds ]
verdict memory-back "$kept of $rounds rounds"
domains | lines list
