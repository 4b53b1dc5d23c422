-- What lmdb-schema/README.md says of scopes, tokens, lists and records.

local ffi = require "ffi"
local bit = require "bit"
local lmdb = require "peer.lmdb"

local C, found = lmdb.C, lmdb.found
local memcmp, copy, str = ffi.C.memcmp, ffi.copy, ffi.string
local bor, lshift = bit.bor, bit.lshift

local _M = {}

local key = ffi.new("MDB_val")
local val = ffi.new("MDB_val")
local count = ffi.new("size_t[1]")
local record_key = ffi.new("uint8_t[24]")
local bytes = ffi.typeof("uint8_t *")
local list_keys = {}

for i = 1, 64 do
    list_keys[i] = ffi.new("uint8_t[64]")
end


local function u16(p)
    return bor(lshift(p[0], 8), p[1])
end

local function u32(p)
    return p[0] * 16777216 + p[1] * 65536 + p[2] * 256 + p[3]
end

local function u64(p)
    return u32(p) * 4294967296 + u32(p + 4)
end

local function get(store, dbi, text)
    key.mv_data = ffi.cast(bytes, text)
    key.mv_size = #text

    return found(C.mdb_get(store.txn, dbi, key, val))
end


-- id (8 bytes), revision (8 bytes); nil: there is none
function _M.scope(store, kind, name)
    if get(store, store.scopes, kind .. name) then
        return str(val.mv_data, 8), str(val.mv_data + 8, 8)
    end
end

local INACTIVE = 4

-- the scope's id and name, of a token that is valid; nil: it is not
function _M.token(store, kind, token)
    if not get(store, store.tokens, lmdb.sha256(token)) then
        return nil
    end

    local p = val.mv_data
    local expires = u64(p + 40)

    if p[16] ~= kind:byte() or bit.band(p[17], INACTIVE) ~= 0
        or u64(p + 48) ~= 0
        or expires ~= 0 and expires <= ngx.now() * 1e6
    then
        return nil
    end

    return str(p + 24, 8), str(p + 58, u16(p + 56))
end


-- Lists: entries of 16 bytes, read from the newest on, a leaf at a time.

local function first_leaf(list)
    local cursor = list.cursor

    if list.n == 1 then
        found(C.mdb_cursor_get(cursor, key, val, lmdb.SET))
        list.leaf, list.left = val.mv_data, 1
        return
    end

    -- where the last entry is, GET_MULTIPLE has nothing

    found(C.mdb_cursor_get(cursor, key, val, lmdb.LAST_DUP))
    found(C.mdb_cursor_get(cursor, key, val, lmdb.PREV_DUP))
    found(C.mdb_cursor_get(cursor, key, val, lmdb.NEXT_DUP))
    found(C.mdb_cursor_get(cursor, key, val, lmdb.GET_MULTIPLE))

    list.leaf, list.left = val.mv_data, tonumber(val.mv_size) / 16
end

local function next_leaf(list)
    if list.n == 1 or not found(C.mdb_cursor_get(list.cursor, key, val,
                                                 lmdb.PREV_MULTIPLE))
    then
        list.left = 0
        return false
    end

    list.leaf, list.left = val.mv_data, tonumber(val.mv_size) / 16
    return true
end

-- The i-th list of this request, at no entry yet; nil: it is empty.
function _M.list(store, i, list_key)
    local cursor = lmdb.list_cursor(store, i)
    local buffer = list_keys[i]

    copy(buffer, list_key, #list_key)
    key.mv_data, key.mv_size = buffer, #list_key

    if not found(C.mdb_cursor_get(cursor, key, val, lmdb.SET)) then
        return nil
    end

    found(C.mdb_cursor_count(cursor, count))

    return { cursor = cursor, n = tonumber(count[0]) }
end

-- The list at the entry of that number, the newest is 0; false: it has none.
function _M.start(list, offset)
    first_leaf(list)

    while offset >= list.left do
        offset = offset - list.left

        if not next_leaf(list) then
            return false
        end
    end

    list.left = list.left - offset
    return true
end

local function head(list)
    return list.leaf + (list.left - 1) * 16
end

_M.head = head

local function pop(list)
    list.left = list.left - 1
    return list.left > 0 or next_leaf(list)
end

_M.pop = pop


-- Several lists: a heap, the newest head on top.

local function newer(a, b)
    return memcmp(head(a), head(b), 16) > 0
end

local function sift(heap, i, n)
    local list = heap[i]

    while true do
        local child = 2 * i

        if child < n and newer(heap[child + 1], heap[child]) then
            child = child + 1
        end

        if child > n or not newer(heap[child], list) then
            break
        end

        heap[i] = heap[child]
        i = child
    end

    heap[i] = list
end

function _M.heap(lists)
    for i = math.floor(#lists / 2), 1, -1 do
        sift(lists, i, #lists)
    end
end

-- the top is passed
function _M.heap_pop(lists)
    local n = #lists

    if not pop(lists[1]) then
        lists[1] = lists[n]
        lists[n] = nil
        n = n - 1
    end

    if n > 1 then
        sift(lists, 1, n)
    end
end


-- Records.  What these return is good until the transaction is reset.

function _M.record(store, scope, entry)
    copy(record_key, scope, 8)
    copy(record_key + 8, entry, 16)
    key.mv_data, key.mv_size = record_key, 24

    if not found(C.mdb_cursor_get(store.records, key, val, lmdb.SET)) then
        error("a list leads nowhere")
    end

    return val.mv_data
end

-- the newest record of a scope that has any
function _M.newest(store, scope)
    copy(record_key, scope, 8)
    ffi.fill(record_key + 8, 16, 0xff)
    key.mv_data, key.mv_size = record_key, 24

    local op = found(C.mdb_cursor_get(store.records, key, val, lmdb.SET_RANGE))
               and lmdb.PREV or lmdb.LAST

    found(C.mdb_cursor_get(store.records, key, val, op))
    return val.mv_data
end

-- the record before that; the caller knows by a list that there is one
function _M.older(store)
    found(C.mdb_cursor_get(store.records, key, val, lmdb.PREV))
    return val.mv_data
end

_M.u16 = u16

return _M
