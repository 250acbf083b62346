-- Write each record if the stored step is the expected one. ARGV, for each: the step's bytes, '' if nothing may be
-- stored; the new record. Answers '?', with nothing done, for a step that changes an index whose key it does not have.

-- The stored step, '' if there is none, and the record's index entries; nil if it is damaged.
local function stored_at(key)
    local head, length = head_of(key, LONGEST_HEAD)
    if length == 0 then
        return '', NO_ENTRIES
    end
    return head and string.sub(head, STEP, STEP_END), head and entries_of(head, length)
end

local function swap(at, expected, content)
    local step, before = stored_at(KEYS[at])
    if not before or step ~= expected then
        return '0'
    end
    local after = entries_of(content, #content)
    if KEYS_EACH < ALL_KEYS and before.live ~= after.live then
        return '?'
    end
    redis.call('SET', KEYS[at], content)
    reindex(at, before, after)
    return '1'
end

local function minutes_of(content)
    local used_at, ttl_seconds = struct.unpack('<I4I4', content, FIELDS)
    return math.floor(used_at / 60), math.floor((used_at + ttl_seconds) / 60)
end

-- Write a record whose index entries do not change, as in most steps: two comparisons tell. Otherwise return nil.
local function swap_in_place(at, expected, content)
    local names = NAMES + string.byte(content, 4) + string.byte(content, LENGTHS) + string.byte(content, LENGTHS + 1)
    local head, length = head_of(KEYS[at], names - 1)
    if not head or string.sub(head, 1, 4) ~= string.sub(content, 1, 4) or string.sub(head, STEP, STEP_END) ~= expected
        or string.sub(head, LENGTHS) ~= string.sub(content, LENGTHS, names - 1) then
        return nil
    end
    local use, due = minutes_of(content)
    local used, was_due = minutes_of(head)
    if use ~= used or due ~= was_due then
        return nil
    end
    redis.call('SET', KEYS[at], content)
    if #content ~= length then
        redis.call('HINCRBY', KEYS[at + 3], 'bytes', #content - length)
        outcome.num_bytes = outcome.num_bytes + #content - length
    end
    return '1'
end

for n = 1, #ARGV / 2 do
    local at, expected, content = (n - 1) * KEYS_EACH + 1, ARGV[2 * n - 1], ARGV[2 * n]
    outcome.won[n] = expected ~= '' and swap_in_place(at, expected, content) or swap(at, expected, content)
end
return answer()
