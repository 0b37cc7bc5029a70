"""The cluster's objects over HTTP, as kubectl and client libraries expect them."""
