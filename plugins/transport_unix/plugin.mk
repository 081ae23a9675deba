# The transport `unix` needs nothing but libmqloop.
