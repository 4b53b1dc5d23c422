-- liblmdb and the SHA-256 of libcrypto, by LuaJIT's FFI.  Stores stay open,
-- with one read transaction that is renewed for each request.

local ffi = require "ffi"

ffi.cdef [[
typedef struct MDB_env MDB_env;
typedef struct MDB_txn MDB_txn;
typedef struct MDB_cursor MDB_cursor;
typedef unsigned int MDB_dbi;
typedef struct { size_t mv_size; uint8_t *mv_data; } MDB_val;

char *mdb_strerror(int err);
int mdb_env_create(MDB_env **env);
int mdb_env_set_mapsize(MDB_env *env, size_t size);
int mdb_env_set_maxreaders(MDB_env *env, unsigned int readers);
int mdb_env_set_maxdbs(MDB_env *env, MDB_dbi dbs);
int mdb_env_open(MDB_env *env, const char *path, unsigned int flags,
                 unsigned int mode);
int mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned int flags,
                  MDB_txn **txn);
int mdb_txn_commit(MDB_txn *txn);
void mdb_txn_reset(MDB_txn *txn);
int mdb_txn_renew(MDB_txn *txn);
int mdb_dbi_open(MDB_txn *txn, const char *name, unsigned int flags,
                 MDB_dbi *dbi);
int mdb_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int mdb_cursor_open(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor);
int mdb_cursor_renew(MDB_txn *txn, MDB_cursor *cursor);
int mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, int op);
int mdb_cursor_count(MDB_cursor *cursor, size_t *count);

int memcmp(const void *a, const void *b, size_t size);

typedef struct { uint32_t h[8], nl, nh, data[16]; unsigned int num, md_len; }
    SHA256_CTX;
int SHA256_Init(SHA256_CTX *c);
int SHA256_Update(SHA256_CTX *c, const void *data, size_t len);
int SHA256_Final(unsigned char *md, SHA256_CTX *c);
]]

local mdb = ffi.load("liblmdb.so.0")
local crypto = ffi.load("libcrypto.so.3")

local RDONLY, NOTLS = 0x20000, 0x200000
local NOTFOUND = -30798

local _M = {
    C = mdb, crypto = crypto,
    GET_MULTIPLE = 5, LAST_DUP = 7, NEXT_DUP = 9, PREV = 12, PREV_DUP = 13,
    SET = 15, SET_RANGE = 17, LAST = 6, PREV_MULTIPLE = 18,
}

-- false: there is no such entry
local function found(rc)
    if rc == 0 then
        return true
    end

    if rc == NOTFOUND then
        return false
    end

    error(ffi.string(mdb.mdb_strerror(rc)))
end

_M.found = found


local function begin(env)
    local txn = ffi.new("MDB_txn *[1]")
    found(mdb.mdb_txn_begin(env, nil, RDONLY, txn))
    return txn[0]
end

local function cursor(txn, dbi)
    local c = ffi.new("MDB_cursor *[1]")
    found(mdb.mdb_cursor_open(txn, dbi, c))
    return c[0]
end

_M.cursor = cursor


local function open(path)
    local env = ffi.new("MDB_env *[1]")
    local store = { cursors = {} }

    found(mdb.mdb_env_create(env))
    env = env[0]

    found(mdb.mdb_env_set_mapsize(env, 64 * 2 ^ 30))
    found(mdb.mdb_env_set_maxreaders(env, 1024))
    found(mdb.mdb_env_set_maxdbs(env, 8))
    found(mdb.mdb_env_open(env, path, RDONLY + NOTLS, 416))

    local txn = begin(env)

    for _, name in ipairs { "meta", "scopes", "tokens", "manifests",
                            "facets" } do
        local dbi = ffi.new("MDB_dbi[1]")
        found(mdb.mdb_dbi_open(txn, name, 0, dbi))
        store[name] = dbi[0]
    end

    found(mdb.mdb_txn_commit(txn))

    store.txn = begin(env)
    store.records = cursor(store.txn, store.manifests)
    mdb.mdb_txn_reset(store.txn)

    return store
end

local stores = {}

-- The store of a path, in a new snapshot.
function _M.renew(path)
    local store = stores[path]

    if not store then
        store = open(path)
        stores[path] = store
    end

    found(mdb.mdb_txn_renew(store.txn))
    found(mdb.mdb_cursor_renew(store.txn, store.records))

    return store
end

function _M.reset(store)
    mdb.mdb_txn_reset(store.txn)
end

-- A cursor for the n-th list of a request.
function _M.list_cursor(store, n)
    local c = store.cursors[n]

    if c then
        found(mdb.mdb_cursor_renew(store.txn, c))
        return c
    end

    c = cursor(store.txn, store.facets)
    store.cursors[n] = c

    return c
end


local sha = ffi.new("SHA256_CTX")
local digest = ffi.new("unsigned char[32]")

function _M.sha256(text)
    crypto.SHA256_Init(sha)
    crypto.SHA256_Update(sha, text, #text)
    crypto.SHA256_Final(digest, sha)

    return ffi.string(digest, 32)
end

return _M
