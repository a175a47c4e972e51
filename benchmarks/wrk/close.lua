-- One request per connection: the server answers, both sides close, wrk connects anew.
wrk.headers["Connection"] = "close"
