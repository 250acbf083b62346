-- Delete records, damaged ones too.

for at = 1, #KEYS, KEYS_EACH do
    local content = redis.pcall('GET', KEYS[at])
    if content then
        local before = type(content) == 'string' and filing_of(content, #content)
        redis.call('DEL', KEYS[at])
        if before then
            settle(at, before, NOWHERE)
        else
            table.insert(outcome.astray, KEYS[at])
        end
    end
end
return answer()
