-- What the answers of both APIs are made of.

local bit = require "bit"
local cjson = require "cjson"
local ffi = require "ffi"
local lmdb = require "peer.lmdb"

local _M = {}

local floor, random = math.floor, math.random
local tohex = bit.tohex

-- times of the same second are the same

local second, stamp, generated

local function clock()
    local now = ngx.time()

    if now ~= second then
        second = now
        stamp = os.date("!%Y%m%dT%H%M%S", now)
        generated = os.date("!%Y-%m-%dT%H:%M:%SZ", now)
    end
end

function _M.generated_at()
    clock()
    return generated
end

function _M.request_id()
    clock()

    local micro = floor((ngx.now() - second) * 1e6 + 0.5) % 1000000

    return "req_" .. stamp .. "_" .. ("000000" .. micro):sub(-6) .. "Z_"
           .. tohex(random(0, 0xffffff), 6) .. tohex(random(0, 0xffffff), 6)
end


-- A body is printed in pieces.  One string of all would differ from that of
-- the request before by a few bytes only, which LuaJIT's hash does not see: its
-- table of strings would become a list.

local COMMA = 44
local parts, n, most, length = {}, 0, 0, 0
local item_size = 8192
local item = ffi.new("uint8_t[?]", item_size)

function _M.clear()
    n, length = 0, 0
end

local function text(piece)
    n = n + 1
    parts[n] = piece
    length = length + #piece
end

_M.text = text

-- bytes of a record with a text between them, as the i-th of the items
function _M.item(i, pointer, before, middle, after)
    local at, size = 0, #middle

    if before + size + after + 1 > item_size then
        item_size = 2 * (before + size + after)
        item = ffi.new("uint8_t[?]", item_size)
    end

    if i > 1 then
        item[0] = COMMA
        at = 1
    end

    ffi.copy(item + at, pointer, before)
    ffi.copy(item + at + before, middle, size)
    ffi.copy(item + at + before + size, pointer + before, after)

    text(ffi.string(item, at + before + size + after))
end

function _M.send()
    for i = n + 1, most do
        parts[i] = nil
    end

    most = n
    ngx.header.content_length = length
    ngx.print(parts)
end

-- what answers without an error have, nginx's configuration adds

function _M.fail(status)
    local header = ngx.header

    ngx.status = status
    header.cache_control = "no-store"

    if status == 401 then
        header.www_authenticate = "Bearer"
    end

    _M.send()
end

-- the same of the same page; true: the client has it
function _M.known(revision, arguments)
    local etag = 'W/"' .. ngx.encode_base64(revision)
                 .. tohex(ngx.crc32_short(arguments)) .. '"'

    ngx.header.etag = etag

    if ngx.var.http_if_none_match ~= etag then
        return false
    end

    ngx.status = 304
    ngx.send_headers()

    return true
end

function _M.bearer()
    local value = ngx.var.http_authorization

    return value and value:sub(1, 7):lower() == "bearer " and value:sub(8)
end

_M.json = cjson.encode

-- Runs it in a snapshot, which ends whatever happens.
function _M.with_store(path, serve, ...)
    local store = lmdb.renew(path)
    local ok, fault = pcall(serve, store, ...)

    lmdb.reset(store)

    if not ok then
        error(fault)
    end
end

return _M
