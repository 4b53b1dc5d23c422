-- The project exports API: its list.

local answer = require "peer.answer"
local store = require "peer.store"

local u16 = store.u16

local STATUSES = { ready = "\1", not_found = "\2" }
local PREFIX = "/projects/"

local _M = {}


local function fail(status, code, message)
    local id = answer.request_id()

    ngx.header.x_request_id = id

    if status == 401 then
        ngx.header.www_authenticate = "Bearer"
    end

    answer.send(status, '{"ok":false,"data":null,"error":{"code":"' .. code
        .. '","message":' .. answer.json(message) .. '},"request_id":"' .. id
        .. '","meta":{"generated_at":"' .. answer.generated_at() .. '"}}')
end

local function number(value, default, least, most)
    if value == nil then
        return default
    end

    local n = type(value) == "string" and tonumber(value)

    return n and n % 1 == 0 and n >= least and n <= most and n
end

local function arguments()
    local args = ngx.req.get_uri_args()
    local status = args.status or "all"
    local limit = number(args.limit, 50, 1, 500)
    local offset = number(args.offset, 0, 0, 2 ^ 53)

    if status ~= "all" and not STATUSES[status] then
        fail(400, "invalid_export_status",
             "status must be ready, not_found, or all.")

    elseif not limit then
        fail(400, "validation_failed",
             "limit must be an integer between 1 and 500.")

    elseif not offset then
        fail(400, "validation_failed",
             "offset must be an integer of 0 or more.")

    else
        return STATUSES[status] or "", limit, offset
    end
end


local function item(p, n)
    local len, link = u16(p + 20), u16(p + 22)

    if n > 0 then
        answer.text(",")
    end

    answer.bytes(p + 40, link)
    answer.text(PREFIX)
    answer.bytes(p + 40 + link, len - link)
end

-- all: the records lie in this order
local function all(db, scope, list, limit, offset)
    local p = offset == 0 and store.newest(db, scope)
              or store.record(db, scope, store.head(list))

    for n = 0, limit - 1 do
        item(p, n)
        p = store.older(db, scope)

        if not p then
            break
        end
    end
end

local function listed(db, scope, list, limit)
    for n = 0, limit - 1 do
        item(store.record(db, scope, store.head(list)), n)

        if not store.pop(list) then
            break
        end
    end
end

local function page(db, scope, status, limit, offset)
    local key = status == "" and scope .. "\0" or scope .. "\1" .. status
    local list = store.list(db, 1, key)
    local total = list and list.n or 0
    local id = answer.request_id()

    answer.clear()
    answer.text('{"ok":true,"data":{"exports":[')

    if list and offset < total and store.skip(list, offset) then
        if status == "" then
            all(db, scope, list, limit, offset)
        else
            listed(db, scope, list, limit)
        end
    end

    answer.text('],"total":' .. total .. ',"limit":' .. limit .. ',"offset":'
        .. offset .. '},"error":null,"request_id":"' .. id
        .. '","meta":{"generated_at":"' .. answer.generated_at() .. '"}}')

    ngx.header.x_request_id = id
    answer.send(200, answer.body())
end

function _M.list(path)
    local uri = ngx.var.uri

    if not ngx.re.find(uri, "^/projects/[a-z0-9_-]+/exports\\z", "jo") then
        return fail(404, "not_found", "There is no such route.")
    end

    local method = ngx.req.get_method()

    if method ~= "GET" and method ~= "HEAD" then
        return fail(405, "method_not_allowed", "The method must be GET or HEAD.")
    end

    local bearer = answer.bearer()

    if not bearer then
        return fail(401, "missing_authorization", "Missing Bearer token.")
    end

    answer.with_store(path, function(db)
        local project = uri:sub(#PREFIX + 1, -9)
        local scope, revision = store.scope(db, "p", project)
        local owner = store.token(db, "p", bearer)

        if not owner or owner ~= scope then
            return fail(401, "invalid_token",
                        "The token is invalid for this route.")
        end

        local status, limit, offset = arguments()

        if status and not answer.known(scope .. revision, status, limit,
                                       offset)
        then
            page(db, scope, status, limit, offset)
        end
    end)
end

return _M
