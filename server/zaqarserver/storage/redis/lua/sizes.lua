-- How much a script does at a time; tests make these small (testing/page_sizes.py).
local STEP = 2000 -- values that one command gets; Lua's stack ends at 8000
local ROOM = 1000 -- rows that one script looks at in vain, moves because of the time, or removes
local PAGE = 100 -- members that one command reads
