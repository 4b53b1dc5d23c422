-- The user exports API: its list, with filters by status and type.

local bit = require "bit"
local ffi = require "ffi"
local answer = require "peer.answer"
local lmdb = require "peer.lmdb"
local store = require "peer.store"

local crypto, u16 = lmdb.crypto, store.u16

local STATUSES = { ready = "\1", pending = "\3", processing = "\4",
                   failed = "\5", cancelled = "\6" }
local PATH = "/api/v3/exports"
local LINK = 2
local TTL = 365 * 86400

local _M = {}


-- HMAC-SHA256: the two halves of the key are hashed once

local inner, outer = ffi.new("SHA256_CTX"), ffi.new("SHA256_CTX")
local hash = ffi.new("SHA256_CTX")
local digest = ffi.new("unsigned char[32]")
local HASH_SIZE = ffi.sizeof("SHA256_CTX")

local hex = {}

for i = 0, 255 do
    hex[i] = bit.tohex(i, 2)
end

local function pad(context, key, byte)
    local block = {}

    for i = 1, 64 do
        block[i] = string.char(bit.bxor(key:byte(i) or 0, byte))
    end

    crypto.SHA256_Init(context)
    crypto.SHA256_Update(context, table.concat(block), 64)
end

local keyed

local function read_key(path)
    local file = assert(io.open(path))
    local key = file:read("*l")

    file:close()

    if #key > 64 then
        key = lmdb.sha256(key)
    end

    pad(inner, key, 0x36)
    pad(outer, key, 0x5c)
    keyed = true
end

local parts = {}

local function signature(text)
    ffi.copy(hash, inner, HASH_SIZE)
    crypto.SHA256_Update(hash, text, #text)
    crypto.SHA256_Final(digest, hash)

    ffi.copy(hash, outer, HASH_SIZE)
    crypto.SHA256_Update(hash, digest, 32)
    crypto.SHA256_Final(digest, hash)

    for i = 0, 31 do
        parts[i + 1] = hex[digest[i]]
    end

    return table.concat(parts, "", 1, 32)
end


local function fail(status, message)
    answer.clear()
    answer.text('{"message":' .. answer.json(message) .. "}")
    answer.fail(status)
end

local function values(args, name)
    local value = args["filter[" .. name .. "][]"]

    return type(value) == "table" and value or value and { value } or {}
end

-- the keys with each of the values behind each of them, and the filter as text
local function product(keys, values, encode)
    local longer = {}

    for i = 1, #values do
        local bytes = encode(values[i])

        if not bytes then
            return nil
        end

        for k = 1, #keys do
            longer[#longer + 1] = keys[k] .. bytes
        end
    end

    return longer
end

local function filter_text(name, values)
    local text = ""

    for i = 1, #values do
        text = text .. "filter%5B" .. name .. "%5D%5B%5D="
               .. ngx.escape_uri(values[i]) .. "&"
    end

    return text
end

local function status_byte(value)
    return STATUSES[value]
end

local function type_hash(value)
    return lmdb.sha256(value):sub(1, 16)
end

-- the keys of the lists whose union was asked for, and the filters as text
local function filters(scope, args)
    local statuses, types = values(args, "status"), values(args, "type")
    local facet = (#statuses > 0 and 1 or 0) + (#types > 0 and 2 or 0)
    local keys = { scope .. string.char(facet) }

    if #statuses > 0 then
        keys = product(keys, statuses, status_byte)
    end

    if keys and #types > 0 then
        keys = product(keys, types, type_hash)
    end

    return keys, filter_text("status", statuses) .. filter_text("type", types)
end


local function item(i, p, base, expires)
    local len, link = u16(p + 20), u16(p + 22)

    if bit.band(p[18], LINK) == 0 then
        answer.item(i, p + 40, len, "", 0)
        return
    end

    local id = p + 40 + len
    local path = PATH .. "/" .. ffi.string(id + 2, u16(id))
                 .. "/download?expires=" .. expires

    answer.item(i, p + 40, link,
                base .. path .. "&signature=" .. signature(path), len - link)
end

-- how many items, and whether more follow
local function items(db, scope, keys, offset, limit, base)
    local lists = {}

    for i, key in ipairs(keys) do
        lists[#lists + 1] = store.list(db, i, key)
    end

    if #lists == 1 then
        if not store.start(lists[1], offset) then
            return 0, false
        end
    else
        for i = 1, #lists do
            store.start(lists[i], 0)
        end

        store.heap(lists)

        for _ = 1, offset do
            if #lists == 0 then
                return 0, false
            end

            store.heap_pop(lists)
        end
    end

    local quarter = TTL / 4
    local expires = math.ceil((ngx.time() + TTL) / quarter) * quarter

    for i = 1, limit do
        if #lists == 0 then
            return i - 1, false
        end

        item(i, store.record(db, scope, store.head(lists[1])), base, expires)
        store.heap_pop(lists)
    end

    return limit, #lists > 0
end

local function page(db, scope, keys, text, base, number, limit)
    local offset = (number - 1) * limit

    answer.clear()
    answer.text('{"data":[')

    local n, more = items(db, scope, keys, offset, limit, base)

    local function url(i)
        return '"' .. base .. PATH .. "?" .. text .. "page=" .. i .. '"'
    end

    answer.text('],"links":{"first":' .. url(1) .. ',"last":null,"prev":'
        .. (number > 1 and url(number - 1) or "null") .. ',"next":'
        .. (more and url(number + 1) or "null") .. '},"meta":{"current_page":'
        .. number .. ',"from":' .. (n > 0 and offset + 1 or "null")
        .. ',"path":"' .. base .. PATH .. '","per_page":' .. limit
        .. ',"to":' .. (n > 0 and offset + n or "null") .. "}}")

    answer.send()
end

local function serve(db, bearer, base)
    local scope, user = store.token(db, "u", bearer)

    if not scope then
        return fail(401, "Unauthenticated.")
    end

    local args = ngx.req.get_uri_args()
    local keys, text = filters(scope, args)
    local number = tonumber(args.page or 1)

    if not keys or not number then
        return fail(422, "The given data was invalid.")
    end

    local _, revision = store.scope(db, "u", user)

    if not answer.known(scope .. revision, text .. number) then
        page(db, scope, keys, text, base, number, 25)
    end
end

function _M.list(path, base)
    local bearer = answer.bearer()

    if not bearer then
        return fail(401, "Unauthenticated.")
    end

    if not keyed then
        read_key(path .. ".key")
    end

    answer.with_store(path, serve, bearer, base)
end

return _M
