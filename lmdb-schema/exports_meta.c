
/* the database "meta": values by name, each with a checksum */

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "exports_private.h"


exports_rc_t
exports_meta_create(exports_env_t *env, MDB_txn *txn, const uint8_t *lineage,
    exports_error_t *error)
{
    size_t           len;
    uint8_t          buf[EXPORTS_LINEAGE_LEN];
    exports_rc_t     rc;
    const uint8_t   *value;

    rc = exports_meta_get(txn, env, EXPORTS_META_FORMAT, &value, &len);
    if (rc != EXPORTS_NOT_FOUND) {
        return EXPORTS_OK;
    }

    exports_put64(buf, EXPORTS_FORMAT_VERSION);

    rc = exports_meta_put(txn, env, EXPORTS_META_FORMAT, buf, 8, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    exports_put64(buf, 1);

    rc = exports_meta_put(txn, env, EXPORTS_META_NEXT_SCOPE, buf, 8, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    if (lineage == NULL) {
        if (getrandom(buf, EXPORTS_LINEAGE_LEN, 0) != EXPORTS_LINEAGE_LEN) {
            return exports_error(error, EXPORTS_FAILED, "getrandom: %s",
                                 strerror(errno));
        }

        /* RFC 9562: version 4, the usual variant */

        buf[6] = (uint8_t) ((buf[6] & 0x0f) | 0x40);
        buf[8] = (uint8_t) ((buf[8] & 0x3f) | 0x80);
        lineage = buf;
    }

    env->created = 1;

    return exports_meta_put(txn, env, EXPORTS_META_LINEAGE, lineage,
                            EXPORTS_LINEAGE_LEN, error);
}


exports_rc_t
exports_meta_check_format(exports_env_t *env, MDB_txn *txn,
    exports_error_t *error)
{
    uint64_t  version;

    if (exports_meta_get64(txn, env, EXPORTS_META_FORMAT, &version)
        != EXPORTS_OK)
    {
        return exports_error(error, EXPORTS_FORMAT,
                             "\"%s\" is not a store of exports, or is "
                             "damaged: its format version cannot be read",
                             env->path);
    }

    if (version != EXPORTS_FORMAT_VERSION) {
        return exports_error(error, EXPORTS_FORMAT,
                             "\"%s\" is of store format %llu, this program "
                             "knows format %u", env->path,
                             (unsigned long long) version,
                             EXPORTS_FORMAT_VERSION);
    }

    return EXPORTS_OK;
}


exports_rc_t
exports_meta_check(exports_env_t *env, MDB_txn *txn,
    const exports_env_options_t *options, exports_error_t *error)
{
    char            have[EXPORTS_LINEAGE_TEXT_LEN];
    size_t          len;
    exports_rc_t    rc;
    const uint8_t  *value;

    rc = exports_meta_check_format(env, txn, error);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    rc = exports_meta_get(txn, env, EXPORTS_META_LINEAGE, &value, &len);

    if (rc != EXPORTS_OK || len != EXPORTS_LINEAGE_LEN) {
        return exports_error(error, EXPORTS_CORRUPT,
                             "\"%s\" is damaged: its lineage cannot be read",
                             env->path);
    }

    memcpy(env->lineage, value, EXPORTS_LINEAGE_LEN);

    if (options->lineage != NULL
        && memcmp(options->lineage, env->lineage, EXPORTS_LINEAGE_LEN) != 0)
    {
        exports_uuid_unparse(have, env->lineage);

        return exports_error(error, EXPORTS_CONFLICT,
                             "\"%s\" is a store already, of lineage %.*s",
                             env->path, EXPORTS_LINEAGE_TEXT_LEN, have);
    }

    return EXPORTS_OK;
}


exports_rc_t
exports_meta_get(MDB_txn *txn, const exports_env_t *env, const char *name,
    const uint8_t **value, size_t *len)
{
    MDB_val          v;
    exports_rc_t     rc;
    const uint8_t   *p;

    rc = exports_mdb_get(txn, env->dbi[DB_META], name, strlen(name), &v);
    if (rc != EXPORTS_OK) {
        return rc;
    }

    p = v.mv_data;

    /* a damaged node may claim any length */

    if (v.mv_size < 8 || v.mv_size > EXPORTS_CHECKPOINT_MAX + 8
        || exports_get64(p + v.mv_size - 8)
           != exports_checksum(name, strlen(name), p, v.mv_size - 8))
    {
        return EXPORTS_CORRUPT;
    }

    *value = p;
    *len = v.mv_size - 8;

    return EXPORTS_OK;
}


exports_rc_t
exports_meta_get64(MDB_txn *txn, const exports_env_t *env, const char *name,
    uint64_t *number)
{
    size_t          len;
    exports_rc_t    rc;
    const uint8_t  *value;

    rc = exports_meta_get(txn, env, name, &value, &len);

    if (rc == EXPORTS_OK && len != 8) {
        return EXPORTS_CORRUPT;
    }

    if (rc == EXPORTS_OK) {
        *number = exports_get64(value);
    }

    return rc;
}


exports_rc_t
exports_meta_put(MDB_txn *txn, const exports_env_t *env, const char *name,
    const uint8_t *value, size_t len, exports_error_t *error)
{
    int       rc;
    uint8_t   buf[EXPORTS_CHECKPOINT_MAX + 8];
    MDB_val   k, v;

    if (len > 0) {
        memcpy(buf, value, len);
    }

    exports_put64(buf + len,
                  exports_checksum(name, strlen(name), value, len));

    k = exports_mdb_val(name, strlen(name));
    v = exports_mdb_val(buf, len + 8);

    rc = mdb_put(txn, env->dbi[DB_META], &k, &v, 0);

    return rc == 0 ? EXPORTS_OK : exports_mdb_error(error, env, "writing", rc);
}
