-- Whether a claim may change a message.
-- with: queue, lives

-- Returns nil if the message is under the claim, or under none and none is given; else 1 if it is
-- under another claim, 2 if the claim is not live or does not hold it, 3 without a live message.
local function refusal(message, claim, now)
  if not message or message[EXPIRES] <= now then return 3 end
  local holder = message[CLAIM] ~= '' and lives(message[CLAIM], now) and message[CLAIM] or nil
  if holder == claim then return nil end
  return claim and (not holder or not lives(claim, now)) and 2 or 1
end

-- Replaces the reason of a message, unless none is given.
local function give_reason(message, reason)
  if reason then
    local notes = message[NOTES] or {}
    notes.reason, message[NOTES] = reason, notes
  end
end
