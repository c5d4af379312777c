-- Takes permits from a bucket, or returns some: `StoredBucket::take` of quota.rs, on the clock of the server.
-- The key holds `missing/cost@since`: the parts that were missing from a full bucket, of which `cost` are a permit,
-- and when, in microseconds. The time since then earns at the rate of the caller.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local speed, cost, depth = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local returned, least, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

local missing, changed = 0, false
local known = redis.call('GET', KEYS[1])
if known then
  local per, since
  missing, per, since = string.match(known, '^(%d+)/([1-9]%d*)@(%d+)$')
  if not since then
    return redis.error_reply('WRONGTYPE the key holds something else than a bucket')
  end
  missing, per, since = tonumber(missing), tonumber(per), tonumber(since)
  if per ~= cost then
    -- The same number of permits at another rate, rounded up; a product beyond 2^53 is not exact.
    local rest = missing % per
    local part = rest * cost
    missing = (missing - rest) / per * cost + math.ceil(part / per)
    if part >= 2 ^ 53 then
      missing = missing + 1
    end
    missing = math.min(missing, 2 ^ 53)
    changed = true
  end
  missing = math.max(missing - (now - since) * speed, 0)
  if now < since and missing > depth then
    -- The clock has gone back: no more parts than those of a full bucket are missing.
    missing = depth
    changed = true
  end
end
missing = math.max(missing - returned * cost, 0)

local available = math.max(depth - missing, 0)
available = (available - available % cost) / cost
local granted = 0
if available >= least then
  granted = math.min(available, most)
end
missing = missing + granted * cost

local micros = math.ceil(missing / speed)
if micros == 0 then
  redis.call('DEL', KEYS[1])
elseif granted > 0 or returned > 0 or changed then
  local value = string.format('%.0f/%.0f@%.0f', missing, cost, now)
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.min(math.ceil(micros / 1000) + 1, 2 ^ 43)))
end
return { granted, math.min(micros, math.ceil(depth / speed)) }
