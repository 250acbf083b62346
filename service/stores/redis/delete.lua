-- Delete records, including damaged ones. ARGV, for each: '', or a minute, to delete it only if it is over and was due by
-- then.

for n = 1, #KEYS / KEYS_EACH do
    local at = (n - 1) * KEYS_EACH + 1
    local head, length = head_of(KEYS[at], LONGEST_HEAD)
    local before = head and entries_of(head, length)
    local is_to_go = ARGV[n] == '' or before and not before.bundle and before.due <= tonumber(ARGV[n])
    local is_there = is_to_go and redis.call('DEL', KEYS[at]) == 1
    if is_there and before then
        reindex(at, before, NO_ENTRIES)
    elseif is_there then
        table.insert(outcome.misindexed, KEYS[at])
    end
    outcome.won[n] = is_there and '1' or '0'
end
return answer()
