"""The routes that all servers of the toolkit's rows have: ten static ones, ten with one variable.

A static route answers with a text of its own, the others with the value of their variable. All of it
is text/plain in UTF-8.
"""

CONTENT_TYPE = "text/plain; charset=utf-8"

STATIC = {
    "/": "start",
    "/about": "about",
    "/health": "healthy",
    "/login": "log in",
    "/logout": "log out",
    "/search": "search",
    "/settings": "settings",
    "/api/status": "status",
    "/api/version": "version",
    "/docs/first-steps": "first steps",
}
# Each with a value that is asked for.
VARIABLE = {
    "/users/{name}": "ada",
    "/users/{name}/posts": "grace",
    "/posts/{name}": "on-engines",
    "/posts/{name}/comments": "on-compilers",
    "/tags/{name}": "history",
    "/groups/{name}": "readers",
    "/groups/{name}/members": "writers",
    "/api/items/{name}": "4711",
    "/api/orders/{name}": "2026-1102",
    "/docs/pages/{name}": "routing",
}
PATHS = (*STATIC, *(path.replace("{name}", value) for path, value in VARIABLE.items()))

# Both have the one answer that `lowlevel_bare` gives to everything.
STATIC_PATH, VARIABLE_PATH = "/about", "/users/about"
ANSWER = "about"
