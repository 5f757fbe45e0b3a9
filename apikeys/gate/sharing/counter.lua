-- The shared counter of burst limits in Redis: every question is this one script, so that each is atomic.
-- KEYS: state, checked-in processes, ready processes, totals by limit, wanted limits, how often each was wanted; prefixes
-- of what a process holds, and of the newest want of each limit to which it said that it has nothing left; the number of
-- each process's newest question.
-- ARGV: question, process, epoch, number of the question, arguments of the question. Numbers rise: a network may bring a
-- question after others that were put since, and answered.
-- Numbers count for one run of the server and one epoch: after a restart, a failover, a flush or a new epoch they begin
-- at nothing, and nobody is granted anything before everybody who may hold something has said what.
local state, checked, ready, totals, wanted, wants = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local held_by, answered_by, asked = KEYS[7], KEYS[8], KEYS[9]
local question, process, epoch = ARGV[1], ARGV[2], tonumber(ARGV[3])
local held = held_by .. process
local number_of_ended = 9007199254740991

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local now = redis.call('HMGET', state, 'run', 'epoch', 'birth', 'complete')
if now[1] == run and tonumber(now[2]) > epoch then
    return {'old'}
end
if now[1] ~= run or tonumber(now[2]) < epoch then
    for _, each in ipairs(redis.call('SMEMBERS', checked)) do
        redis.call('DEL', held_by .. each, answered_by .. each)
    end
    redis.call('DEL', held, checked, ready, totals, wanted, wants, asked)
    local time = redis.call('TIME')
    now = {run, epoch, time[1] .. '.' .. time[2], '0'}
    redis.call('HSET', state, 'run', run, 'epoch', epoch, 'birth', now[3], 'complete', '0')
end
local birth, complete = now[3], now[4] == '1'

local function set(key, before, after)
    if after ~= before then
        if after == 0 then redis.call('HDEL', held, key) else redis.call('HSET', held, key, after) end
        local total = redis.call('HINCRBY', totals, key, after - before)
        if total == 0 then redis.call('HDEL', totals, key) end
    end
end

local function free(whose)
    local all = redis.call('HGETALL', held_by .. whose)
    for i = 1, #all, 2 do
        if redis.call('HINCRBY', totals, all[i], -all[i + 1]) == 0 then redis.call('HDEL', totals, all[i]) end
    end
    redis.call('DEL', held_by .. whose, answered_by .. whose)
end

local function answered(whose, key)
    return tonumber(redis.call('HGET', answered_by .. whose, key) or '0')
end

if question == 'ready' then
    redis.call('SADD', ready, process)
    return {'ok', birth, redis.call('SMEMBERS', ready)}
end
if question == 'check in' or question == 'exchange' then
    local number = tonumber(ARGV[4])
    if number <= tonumber(redis.call('HGET', asked, process) or '0') then return {'old'} end
    redis.call('HSET', asked, process, number)
end
if question == 'check in' then -- ARGV: then key and number of each that it holds
    free(process)
    redis.call('SADD', checked, process)
    for i = 5, #ARGV, 2 do set(ARGV[i], 0, tonumber(ARGV[i + 1])) end
    return {'ok', birth}
elseif question == 'free' then
    free(process)
    redis.call('SREM', checked, process)
    redis.call('HSET', asked, process, number_of_ended)
    return {'ok', birth}
elseif question == 'complete' then -- ARGV: birth of the numbers that are meant, then everybody who may hold something
    if ARGV[5] ~= birth then return {'empty'} end
    for i = 6, #ARGV do
        if redis.call('SISMEMBER', checked, ARGV[i]) == 0 then return {'incomplete', birth} end
    end
    redis.call('HSET', state, 'complete', '1')
    return {'ok', birth}
end

if redis.call('SISMEMBER', checked, process) == 0 then
    return {'empty'}
end
if question == 'wanted' then
    local mine = {}
    for _, key in ipairs(redis.call('SMEMBERS', wanted)) do
        local number = tonumber(redis.call('HGET', wants, key) or '0')
        if redis.call('HEXISTS', held, key) == 1 and answered(process, key) < number then
            mine[#mine + 1] = {key, number}
        end
    end
    return {complete and 'ok' or 'incomplete', birth, mine}
end

-- exchange. ARGV: then key, limit, keep, want, urgency, number and answer of each
local answers = {}
for i = 5, #ARGV, 7 do
    local key, limit, keep = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local want, urgent = tonumber(ARGV[i + 3]), ARGV[i + 4] == '1'
    local number, answer = tonumber(ARGV[i + 5]), tonumber(ARGV[i + 6])
    local before = tonumber(redis.call('HGET', held, key) or '0')
    local total = tonumber(redis.call('HGET', totals, key) or '0')
    local kept = math.min(before, keep)
    local gets = 0
    local has_precedence = urgent or redis.call('SISMEMBER', wanted, key) == 0
    if complete and has_precedence then gets = math.max(math.min(want, limit - (total - before + kept)), 0) end
    set(key, before, kept + gets)
    local others = {}
    if gets > 0 then
        redis.call('SREM', wanted, key)
        number = 0
    elseif want > 0 and urgent then
        redis.call('SADD', wanted, key)
        if number == 0 then number = redis.call('HINCRBY', wants, key, 1) end
        answer = tonumber(redis.call('HGET', wants, key)) -- who has none cannot give any
        for _, each in ipairs(redis.call('SMEMBERS', checked)) do
            if each ~= process and redis.call('HEXISTS', held_by .. each, key) == 1 and answered(each, key) < number then
                others[#others + 1] = each
            end
        end
    else
        number = 0
    end
    if kept + gets == 0 then
        redis.call('HDEL', answered_by .. process, key)
    elseif answer > answered(process, key) then
        redis.call('HSET', answered_by .. process, key, answer)
    end
    answers[#answers + 1] = {kept + gets, others, number}
end
return {complete and 'ok' or 'incomplete', birth, answers}
