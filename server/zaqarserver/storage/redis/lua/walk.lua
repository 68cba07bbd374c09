-- Walking through messages in their order.
-- with: queue

-- Returns a function that returns the ids of several sets in order, nil at the end.
local function walk(sets, after, page, backwards)
  local command = backwards and 'ZREVRANGEBYLEX' or 'ZRANGEBYLEX'
  local start, stop = after or (backwards and '+' or '-'), backwards and '-' or '+'
  local pages, places, following = {}, {}, {}
  for i = 1, #sets do
    pages[i], places[i], following[i] = {}, 1, start
  end
  return function()
    local best
    for i = 1, #sets do
      if places[i] > #pages[i] and following[i] then
        pages[i] = call(command, sets[i], following[i], stop, 'LIMIT', 0, page)
        places[i] = 1
        following[i] = #pages[i] == page and '(' .. pages[i][page]
      end
      local id = pages[i][places[i]]
      local other = best and pages[best][places[best]]
      if id and (not other or (backwards and id > other) or (not backwards and id < other)) then
        best = i
      end
    end
    if best then
      places[best] = places[best] + 1
      return pages[best][places[best] - 1]
    end
  end
end
