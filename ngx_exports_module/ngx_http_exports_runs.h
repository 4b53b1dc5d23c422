
/* runs of operations: which one a request belongs to */

#ifndef _NGX_HTTP_EXPORTS_RUNS_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_RUNS_H_INCLUDED_


#include "ngx_http_exports_shm.h"


/* bytes of a key, or of the ID of a run */
#define NGX_HTTP_EXPORTS_LABEL_MAX  128


typedef struct {
    u_char                        node[NGX_HTTP_EXPORTS_SHM_KEY_LEN];
                                            /* the digest to find it by */
    u_char                        id[NGX_HTTP_EXPORTS_LABEL_MAX];
    size_t                        len;      /* 0: not given */
} ngx_http_exports_run_id_t;


/* what the zone is asked under its lock, and what it answers */

typedef struct {
    ngx_msec_t                    idle;
    const u_char                 *token;    /* its digest */
    ngx_str_t                     name;     /* of the key, and */
    u_char                        key[NGX_HTTP_EXPORTS_SHM_KEY_LEN];
                                            /* the digest to find it by */
    ngx_http_exports_run_id_t     given;
    ngx_http_exports_run_id_t     generated;

    ngx_http_exports_grouping_e   grouping;
    ngx_uint_t                    began;    /* the run is a new one */
    u_char                        answer[NGX_HTTP_EXPORTS_LABEL_MAX];
    size_t                        len;
} ngx_http_exports_decision_t;


extern const ngx_http_exports_zone_type_t  ngx_http_exports_runs_type;


/* data: the zone's state, locked.  NGX_AGAIN: to be called again, with an ID
   that has been generated meanwhile */

ngx_int_t ngx_http_exports_runs_decide(void *data,
    ngx_http_exports_decision_t *d);


#endif /* _NGX_HTTP_EXPORTS_RUNS_H_INCLUDED_ */
