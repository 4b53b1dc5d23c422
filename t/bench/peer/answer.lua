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


-- One buffer for all bodies: it grows with the largest.

local size = 65536
local buffer = ffi.new("uint8_t[?]", size)
local used = 0

local function room(n)
    if used + n > size then
        local old = buffer

        size = 2 * (used + n)
        buffer = ffi.new("uint8_t[?]", size)
        ffi.copy(buffer, old, used)
    end
end

function _M.clear()
    used = 0
end

function _M.text(text)
    room(#text)
    ffi.copy(buffer + used, text, #text)
    used = used + #text
end

function _M.bytes(pointer, n)
    room(n)
    ffi.copy(buffer + used, pointer, n)
    used = used + n
end

function _M.body()
    return ffi.string(buffer, used)
end


function _M.send(status, body)
    local header = ngx.header

    ngx.status = status
    header.content_type = "application/json"
    header.content_length = #body
    header.cache_control = status == 200 and "private, no-cache" or "no-store"
    ngx.print(body)
end

-- the same of the same page; true: the client has it
function _M.known(revision, ...)
    local etag = 'W/"' .. ngx.encode_base64(revision) .. "-"
                 .. tohex(ngx.crc32_short(table.concat({ ... }, "\0"))) .. '"'
    local header = ngx.header

    header.etag = etag
    header.vary = "Authorization"

    if ngx.var.http_if_none_match ~= etag then
        return false
    end

    ngx.status = 304
    header.cache_control = "private, no-cache"
    ngx.send_headers()

    return true
end

function _M.bearer()
    local value = ngx.var.http_authorization

    return value and value:sub(1, 7):lower() == "bearer " and value:sub(8)
end

_M.json = cjson.encode

-- Runs it in a snapshot, which ends whatever happens.
function _M.with_store(path, serve)
    local store = lmdb.renew(path)
    local ok, fault = pcall(serve, store)

    lmdb.reset(store)

    if not ok then
        error(fault)
    end
end

return _M
