#!/bin/sh
# Lend the right to post to a queue, look at what is out, and take it back.
set -eu

url=$(zaqar queue signed url orders --methods POST --ttl-seconds 600 --output url)

# Whoever has the line needs nothing else.
zaqar --signed-url "$url" message post orders --body '{"build": 7}'

# The owner sees what is out; the id does not tell the signature.
zaqar queue signed url list orders
id=$(zaqar queue signed url list orders -f value -c ID)
zaqar queue signed url revoke orders "$id"

# From the next request on it opens nothing.
if zaqar --signed-url "$url" message post orders --body '{"build": 8}'; then
    exit 1
fi
zaqar message list orders -f value -c Body
