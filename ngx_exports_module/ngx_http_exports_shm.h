
/*
 * Zones of shared memory.  A zone belongs to one type, that is to one pair of
 * directives.  What is in it is the type's, from the time it is made: slots of
 * fixed sizes, so that memory cannot be in pieces and whoever takes the place
 * of another fits there; trees by keys of 32 bytes; queues by age.  All of it
 * is under the one lock of the zone, under which nothing is hashed, allocated
 * or logged.
 */

#ifndef _NGX_HTTP_EXPORTS_SHM_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_SHM_H_INCLUDED_


#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_SHM_KEY_LEN  32


/* its address is the tag that nginx tells zones of the same name apart by */

typedef struct {
    ngx_str_t                   directive;  /* that defines a zone */
    size_t                      size;       /* of the state at its start */
    void                      (*init)(void *sh, u_char *start, u_char *end);
} ngx_http_exports_zone_type_t;


/* what its memory begins with; behind it the type's state */

typedef struct {
    ngx_uint_t                  changing;   /* a process is at it, or was when
                                               it died */
    u_char                     *end;        /* of the memory */
} ngx_http_exports_shm_head_t;


struct ngx_http_exports_zone_s {
    const ngx_http_exports_zone_type_t *type;
    ngx_str_t                   name;
    ngx_slab_pool_t            *shpool;     /* for its lock */
    ngx_http_exports_shm_head_t *head;
    void                       *sh;         /* the type's state */
    ngx_uint_t                  lost;       /* to be logged */

    ngx_msec_t                  idle;       /* of runs of operations */

    /* where the configuration names it first */
    ngx_str_t                   file;
    ngx_uint_t                  line;
    ngx_uint_t                  defined;
};


/* what a tree is made of: the first member of the type's own structs */

typedef struct {
    ngx_rbtree_node_t           node;       /* by the first bytes of the key */
    u_char                      key[NGX_HTTP_EXPORTS_SHM_KEY_LEN];
} ngx_http_exports_shm_node_t;


typedef struct {
    ngx_rbtree_t                rbtree;
    ngx_rbtree_node_t           sentinel;
} ngx_http_exports_shm_tree_t;


typedef struct {
    u_char                     *start;
    size_t                      size;
    ngx_uint_t                  n;
    ngx_uint_t                  taken;      /* at one time or another */
    void                       *free;       /* given back; each begins with a
                                               pointer to the next */
} ngx_http_exports_shm_slots_t;


/* directives: NULL, it has been logged why not */

ngx_http_exports_zone_t *ngx_http_exports_shm_define(ngx_conf_t *cf,
    const ngx_http_exports_zone_type_t *type);
ngx_shm_zone_t *ngx_http_exports_shm_use(ngx_conf_t *cf, ngx_str_t *name,
    const ngx_http_exports_zone_type_t *type);

/* behind all directives: whether all zones that are used are defined */

ngx_int_t ngx_http_exports_shm_check(ngx_conf_t *cf);


/* the memory of a zone, which starts empty */

void ngx_http_exports_shm_start(ngx_http_exports_zone_t *zone, void *memory,
    size_t size);

/* the state is changed between the two only */

void ngx_http_exports_shm_lock(ngx_http_exports_zone_t *zone);
void ngx_http_exports_shm_unlock(ngx_http_exports_zone_t *zone);


ngx_msec_t ngx_http_exports_shm_elapsed(ngx_msec_t since);

void ngx_http_exports_shm_tree_init(ngx_http_exports_shm_tree_t *tree);
void *ngx_http_exports_shm_find(ngx_http_exports_shm_tree_t *tree,
    const u_char *key);
void ngx_http_exports_shm_insert(ngx_http_exports_shm_tree_t *tree,
    ngx_http_exports_shm_node_t *node, const u_char *key);
void ngx_http_exports_shm_delete(ngx_http_exports_shm_tree_t *tree,
    ngx_http_exports_shm_node_t *node);

/* returns where it ends */

u_char *ngx_http_exports_shm_slots_init(ngx_http_exports_shm_slots_t *slots,
    u_char *start, size_t size, ngx_uint_t n);
void *ngx_http_exports_shm_take(ngx_http_exports_shm_slots_t *slots);
void ngx_http_exports_shm_give(ngx_http_exports_shm_slots_t *slots,
    void *slot);


#endif /* _NGX_HTTP_EXPORTS_SHM_H_INCLUDED_ */
