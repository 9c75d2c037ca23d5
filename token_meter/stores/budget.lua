-- The one rule of budgets, as stores/rule.py has it: settle calls that have ended, then reserve for one, in one step.
-- Amounts are decimal strings, added by HINCRBY in 64 bits; compared as doubles, which are exact below 2^53.
--
-- KEYS[1]: <prefix>meta. All other keys have the same prefix, whose braces keep them on one node of a cluster.
--   <prefix>meta                hash: version, epoch, accepted
--   <prefix>w:START:END:BUDGET  hash, a window: n t c (spent, with lost), hn ht hc (held), ln lt lc (lost), un ut (unknown)
--   <prefix>l:ID                a lease: cmsgpack of {state, {{window key, n, t, c}, ...}}; a settled one is a string.
--                               It expires when it is lost or settled, never while it is held
--   <prefix>leases              sorted set: ids of leases in flight, by their end
--   <prefix>lost                the same of leases that have expired
--   <prefix>budgets             hash: definitions by name
-- ARGV[1], each with a line feed behind it: version, expected epoch, new epoch, two times; settlements; then `read`,
-- `leases`, `put`, `settle` or `reserve` with its arguments.
-- Returns lines: status, time in ms, epoch (with a policy by which the server drops keys), exceeded, and one for the
-- state of each ask.
local prefix = string.sub(KEYS[1], 1, -5)
local take = string.gmatch(ARGV[1], '([^\n]*)\n')
local function whole(number)
  return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local version, expected, candidate = take(), take(), take()
local late, repeatable = take(), take()

local meta = redis.call('HMGET', KEYS[1], 'version', 'epoch', 'accepted')
if not meta[1] then
  redis.call('HSET', KEYS[1], 'version', version, 'epoch', candidate)
  meta = {version, candidate, false}
elseif meta[1] ~= version then
  return table.concat({'version', whole(now), meta[1], ''}, '\n')
end

-- Who comes for the first time is told whether the server may drop keys.
local policy = ''
if expected == '' then
  local about = redis.pcall('INFO', 'memory')
  if type(about) == 'string' and not string.find(about, 'maxmemory:0\r', 1, true) then
    policy = string.match(about, 'maxmemory_policy:([%w-]+)') or ''
  end
  policy = policy == 'noeviction' and '' or policy
end

-- A key that must be there is not: what is left is not the truth.
local function lose()
  meta[2], meta[3] = candidate, false
  redis.call('HSET', KEYS[1], 'epoch', candidate)
  redis.call('HDEL', KEYS[1], 'accepted')
end
local function is_there(window)
  if redis.call('EXISTS', window) == 1 then return true end
  local ends = tonumber(string.match(string.sub(window, #prefix + 1), '^w:%-?%d+:(%d+):'))
  if ends == 0 or now < ends then lose() end
  return false
end

-- Adds SIGN x amounts to the fields of KIND ('', 'h', 'l') of a window that is there.
local function add(window, kind, sign, n, t, c)
  for field, amount in pairs({n = n, t = t, c = c}) do
    if amount ~= '' and amount ~= '0' then
      redis.call('HINCRBY', window, kind .. field, sign .. amount)
    end
  end
end
local function count_unknown(window, step, n, t)
  if n == '' then redis.call('HINCRBY', window, 'un', step) end
  if t == '' then redis.call('HINCRBY', window, 'ut', step) end
end
local function make(window, ends, keep)
  if redis.call('HSETNX', window, 'n', '0') == 1 and ends ~= '0' then
    redis.call('PEXPIRE', window, whole(math.max(1, ends - now + keep)))
  end
end

local function expire()
  while true do
    local due = redis.call('ZRANGEBYSCORE', prefix .. 'leases', '-inf', whole(now), 'WITHSCORES', 'LIMIT', 0, 100)
    if #due == 0 then break end
    for i = 1, #due, 2 do
      local id = due[i]
      local raw = redis.call('GET', prefix .. 'l:' .. id)
      if raw then
        local lease = cmsgpack.unpack(raw)
        for _, charge in ipairs(lease[2]) do
          local window, n, t, c = unpack(charge)
          if is_there(window) then
            add(window, 'h', '-', n, t, c)
            add(window, 'l', '', n, t, c)
            add(window, '', '', n, t, c)
            count_unknown(window, -1, n, t)
          end
        end
        lease[1] = 'lost'
        redis.call('SET', prefix .. 'l:' .. id, cmsgpack.pack(lease), 'PX', late)
        redis.call('ZADD', prefix .. 'lost', due[i + 1], id)
      else
        lose()
      end
      redis.call('ZREM', prefix .. 'leases', id)
    end
  end
  redis.call('ZREMRANGEBYSCORE', prefix .. 'lost', '-inf', whole(now - late))
end
expire()

local function settle()
  local id, charges = take(), tonumber(take())
  local key = prefix .. 'l:' .. id
  local raw = redis.call('GET', key)
  local reserved, state = {}, nil
  if raw and raw ~= 'settled' then
    local lease = cmsgpack.unpack(raw)
    state = lease[1]
    for _, charge in ipairs(lease[2]) do
      local window, n, t, c = unpack(charge)
      reserved[window] = true
      if is_there(window) then
        if state == 'held' then
          add(window, 'h', '-', n, t, c)
          count_unknown(window, -1, n, t)
        else
          add(window, 'l', '-', n, t, c)
          add(window, '', '-', n, t, c)
        end
      end
    end
    redis.call('ZREM', prefix .. 'lost', id)
  end
  if redis.call('ZREM', prefix .. 'leases', id) == 1 and not raw then lose() end
  for _ = 1, charges do
    local window, ends, keep, n, t, c = prefix .. take(), take(), take(), take(), take(), take()
    if not raw then make(window, ends, keep) end
    if raw ~= 'settled' and (not raw or reserved[window]) and redis.call('EXISTS', window) == 1 then
      add(window, '', '', n, t, c)
    end
  end
  if raw ~= 'settled' then redis.call('SET', key, 'settled', 'PX', repeatable) end
end
for _ = 1, tonumber(take()) do settle() end

local FIELDS = {'n', 't', 'c', 'hn', 'ht', 'hc', 'ln', 'lt', 'lc', 'un', 'ut'}
local function state_of(name, starts, ends, back)
  local sums = redis.call('HMGET', prefix .. 'w:' .. starts .. ':' .. ends .. ':' .. name, unpack(FIELDS))
  for i = 1, 11 do sums[i] = sums[i] or '0' end
  local length = ends - starts
  for step = 1, tonumber(back) do
    local key = prefix .. 'w:' .. whole(starts - step * length) .. ':' .. whole(ends - step * length) .. ':' .. name
    for i, amount in ipairs(redis.call('HMGET', key, unpack(FIELDS))) do
      if amount then sums[i] = whole(sums[i] + amount) end
    end
  end
  return sums
end
local function answer(status, exceeded, states)
  local epoch = policy == '' and meta[2] or meta[2] .. ' ' .. policy
  local lines = {status, whole(now), epoch, table.concat(exceeded, ' ')}
  for _, sums in ipairs(states) do lines[#lines + 1] = table.concat(sums, ' ') end
  return table.concat(lines, '\n')
end

local action = take()
if action == 'read' then
  local states = {}
  for i = 1, tonumber(take()) do states[i] = state_of(take(), take(), take(), take()) end
  return answer('done', {}, states)
end
if action == 'leases' then
  local lines = {}
  for _, set in ipairs({'lost', 'leases'}) do
    local found = redis.call('ZRANGE', prefix .. set, 0, -1, 'WITHSCORES')
    for i = 1, #found, 2 do
      local raw = redis.call('GET', prefix .. 'l:' .. found[i])
      if raw and raw ~= 'settled' then
        local line = {set, found[i + 1], found[i]}
        for _, charge in ipairs(cmsgpack.unpack(raw)[2]) do
          line[#line + 1] = table.concat({charge[2], charge[3], charge[4], string.sub(charge[1], #prefix + 3)}, ' ')
        end
        lines[#lines + 1] = {table.concat(line, '\t')}
      end
    end
  end
  return answer('done', {}, lines)
end
if action == 'put' then
  local name, starts, ends, keep = take(), take(), take(), take()
  local window = prefix .. 'w:' .. starts .. ':' .. ends .. ':' .. name
  make(window, ends, keep)
  redis.call('HSET', window, 'n', take(), 't', take(), 'c', take())
  redis.call('HDEL', window, 'ln', 'lt', 'lc', 'hn', 'ht', 'hc', 'un', 'ut')
  for _, id in ipairs(redis.call('ZRANGE', prefix .. 'leases', 0, -1)) do
    local raw = redis.call('GET', prefix .. 'l:' .. id)
    for _, charge in ipairs(raw and cmsgpack.unpack(raw)[2] or {}) do
      local held, n, t, c = unpack(charge)
      if held == window then
        add(window, 'h', '', n, t, c)
        count_unknown(window, 1, n, t)
      end
    end
  end
  for _, id in ipairs(redis.call('ZRANGE', prefix .. 'lost', 0, -1)) do
    local raw = redis.call('GET', prefix .. 'l:' .. id)
    if raw and raw ~= 'settled' then
      local left = {}
      for _, charge in ipairs(cmsgpack.unpack(raw)[2]) do
        if charge[1] ~= window then left[#left + 1] = charge end
      end
      redis.call('SET', prefix .. 'l:' .. id, cmsgpack.pack({'lost', left}), 'KEEPTTL')
    end
  end
  local definition = take()
  if definition ~= '' then redis.call('HSET', prefix .. 'budgets', name, definition) end
  redis.call('HSET', KEYS[1], 'accepted', '1')
  return answer('done', {}, {})
end
if action == 'settle' then return answer('done', {}, {}) end
local id = take()
if expected ~= '' and expected ~= meta[2] and not meta[3] then return answer('flushed', {}, {}) end

local lease, asks, states, is_moved = take(), {}, {}, false
for i = 1, tonumber(take()) do
  local ask = {}
  for k = 1, 13 do ask[k] = take() end  -- name start end back keep, limits n t c, wanted n t c, enforced, definition
  asks[i] = ask
  states[i] = state_of(ask[1], ask[2], ask[3], ask[4])
  is_moved = is_moved or (ask[3] ~= '0' and (now < tonumber(ask[2]) or now >= tonumber(ask[3])))
end
if redis.call('EXISTS', prefix .. 'l:' .. id) == 1 then return answer('done', {}, states) end
if is_moved then return answer('moved', {}, {}) end

local exceeded = {}
for i, ask in ipairs(asks) do
  local state = states[i]
  for k = 1, 3 do
    local limit, wanted = ask[5 + k], ask[8 + k]
    if limit ~= '' and wanted ~= '0' then
      local committed, is_over = state[k] + state[3 + k], false
      if wanted == '' then
        is_over = committed >= tonumber(limit) or (k < 3 and state[9 + k] ~= '0')
      else
        is_over = committed + wanted > tonumber(limit)
      end
      if is_over then
        exceeded[#exceeded + 1] = whole(i - 1) .. ' ' .. whole(k - 1)
        if ask[12] == '1' then return answer('refused', {exceeded[#exceeded]}, states) end
        break
      end
    end
  end
end

local charges = {}
for i, ask in ipairs(asks) do
  local window, n, t, c = prefix .. 'w:' .. ask[2] .. ':' .. ask[3] .. ':' .. ask[1], ask[9], ask[10], ask[11]
  make(window, ask[3], ask[5])
  add(window, 'h', '', n, t, c)
  count_unknown(window, 1, n, t)
  charges[i] = {window, n, t, c}
  if ask[13] ~= '' and redis.call('HGET', prefix .. 'budgets', ask[1]) ~= ask[13] then
    redis.call('HSET', prefix .. 'budgets', ask[1], ask[13])
  end
end
redis.call('SET', prefix .. 'l:' .. id, cmsgpack.pack({'held', charges}))
redis.call('ZADD', prefix .. 'leases', whole(now + lease), id)
return answer('done', exceeded, states)
