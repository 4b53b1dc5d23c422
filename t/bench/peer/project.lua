-- The project exports API: its list.

local answer = require "peer.answer"
local store = require "peer.store"

local u16 = store.u16

local STATUSES = { all = 0, ready = 1, not_found = 2 }
local PREFIX = "/projects/"

local _M = {}


local text = answer.text

local function finish()
    local id = answer.request_id()

    text('"request_id":"')
    text(id)
    text('","meta":{"generated_at":"')
    text(answer.generated_at())
    text('"}}')

    ngx.header.x_request_id = id
end

local function fail(status, code, message)
    answer.clear()
    text('{"ok":false,"data":null,"error":{"code":"' .. code
         .. '","message":' .. answer.json(message) .. "},")
    finish()
    answer.fail(status)
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
    local status = STATUSES[args.status or "all"]
    local limit = number(args.limit, 50, 1, 500)
    local offset = number(args.offset, 0, 0, 2 ^ 53)

    if not status then
        fail(400, "invalid_export_status",
             "status must be ready, not_found, or all.")

    elseif not limit then
        fail(400, "validation_failed",
             "limit must be an integer between 1 and 500.")

    elseif not offset then
        fail(400, "validation_failed",
             "offset must be an integer of 0 or more.")

    else
        return status, limit, offset
    end
end


local function item(i, p)
    local len, link = u16(p + 20), u16(p + 22)
    answer.item(i, p + 40, link, PREFIX, len - link)
end

-- The records lie in the order of the lists; when most have the status, those
-- that do not are passed over.
local function scan(db, scope, list, offset, n, status)
    local p

    if offset == 0 then
        p = store.newest(db, scope)
    else
        store.start(list, offset)
        p = store.record(db, scope, store.head(list))
    end

    for i = 1, n do
        while status ~= 0 and p[17] ~= status do
            p = store.older(db)
        end

        item(i, p)

        if i < n then
            p = store.older(db)
        end
    end
end

local function look_up(db, scope, list, offset, n)
    store.start(list, offset)

    for i = 1, n do
        item(i, store.record(db, scope, store.head(list)))
        store.pop(list)
    end
end

local function items(db, scope, list, offset, n, status)
    local all = status ~= 0 and store.list(db, 2, scope .. "\0")

    if not all or list.n >= all.n / 2 then
        scan(db, scope, list, offset, n, status)
    else
        look_up(db, scope, list, offset, n)
    end
end

local function page(db, scope, status, limit, offset)
    local key = status == 0 and scope .. "\0"
                or scope .. "\1" .. string.char(status)
    local list = store.list(db, 1, key)
    local total = list and list.n or 0
    local n = math.min(limit, total - offset)

    answer.clear()
    text('{"ok":true,"data":{"exports":[')

    if n > 0 then
        items(db, scope, list, offset, n, status)
    end

    text('],"total":' .. total .. ',"limit":' .. limit .. ',"offset":'
         .. offset .. '},"error":null,')
    finish()
    answer.send()
end

local function serve(db, project, bearer)
    local scope, revision = store.scope(db, "p", project)
    local owner = store.token(db, "p", bearer)

    if not owner or owner ~= scope then
        return fail(401, "invalid_token",
                    "The token is invalid for this route.")
    end

    local status, limit, offset = arguments()

    if status and not answer.known(scope .. revision, status .. "," .. limit
                                   .. "," .. offset)
    then
        page(db, scope, status, limit, offset)
    end
end

function _M.list(path)
    local uri = ngx.var.uri

    if not ngx.re.find(uri, "^/projects/[a-z0-9_-]+/exports\\z", "jo") then
        return fail(404, "not_found", "There is no such route.")
    end

    local method = ngx.req.get_method()

    if method ~= "GET" and method ~= "HEAD" then
        return fail(405, "method_not_allowed",
                    "The method must be GET or HEAD.")
    end

    local bearer = answer.bearer()

    if not bearer then
        return fail(401, "missing_authorization", "Missing Bearer token.")
    end

    answer.with_store(path, serve, uri:sub(#PREFIX + 1, -9), bearer)
end

return _M
