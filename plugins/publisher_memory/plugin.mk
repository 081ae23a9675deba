# The publisher `publisher_memory` needs nothing but libmqloop.
