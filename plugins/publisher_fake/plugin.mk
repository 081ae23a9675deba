# The publisher `publisher_fake` needs nothing but libmqloop.
