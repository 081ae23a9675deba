# The authorizer `acl_file` needs nothing but libmqloop.
