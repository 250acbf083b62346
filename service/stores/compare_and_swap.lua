-- Write each record if the stored step is the expected one. ARGV, for each: the step's bytes, '' where nothing may be
-- stored; the new record.

local function current(at)
    local content = redis.pcall('GET', KEYS[at])
    if not content then
        return '', NOWHERE
    end
    if type(content) ~= 'string' then
        return nil, nil
    end
    return string.sub(content, STEP, STEP_END), filing_of(content, #content)
end

for n = 1, #ARGV / 2 do
    local at, expected, content = (n - 1) * KEYS_EACH + 1, ARGV[2 * n - 1], ARGV[2 * n]
    local step, before = current(at)
    local is_won = before ~= nil and step == expected
    if is_won then
        redis.call('SET', KEYS[at], content)
        settle(at, before, filing_of(content, #content))
    end
    outcome.won[n] = is_won and '1' or '0'
end
return answer()
