-- Delete records, damaged ones too.

for n = 1, #KEYS / KEYS_EACH do
    local at = (n - 1) * KEYS_EACH + 1
    local head, length = head_of(KEYS[at], LONGEST_HEAD)
    local before = head and filing_of(head, length)
    local is_there = redis.call('DEL', KEYS[at]) == 1
    if before then
        settle(at, before, NOWHERE)
    elseif is_there then
        table.insert(outcome.astray, KEYS[at])
    end
    outcome.won[n] = is_there and '1' or '0'
end
return answer()
