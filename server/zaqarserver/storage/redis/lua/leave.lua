-- Removing ids from the sets of messages that can be claimed.
-- with: queue

-- Removes ids from the sets of messages that can be claimed; they are left to the sweeper, or
-- moved.
local function leave(ids, hidden_too)
  each('ZREM', FREE, ids)
  if hidden_too then
    each('ZREM', HIDDEN, ids)
    each('ZREM', POSTPONED, ids)
    each('ZREM', LATE, ids)
  end
end
