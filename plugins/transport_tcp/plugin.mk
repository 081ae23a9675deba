# The transport `tcp` needs nothing but libmqloop.
