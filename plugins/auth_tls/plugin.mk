# The plugin `auth_tls` needs nothing but libmqloop: certificates are the transport's business.
