
/*
 * Zones of shared memory.  A zone is of one type, that is, of one pair of
 * directives.  Its memory is divided up when the zone is made: into slots of
 * fixed sizes, so that it cannot be fragmented, and a new entry fits in the
 * place of any old one.  Entries are found by trees with keys of 32 bytes, and
 * aged by queues.  The one lock of a zone covers all this; nothing is hashed,
 * allocated or logged under it.
 */

#ifndef _NGX_HTTP_EXPORTS_SHM_H_INCLUDED_
#define _NGX_HTTP_EXPORTS_SHM_H_INCLUDED_


#include "ngx_http_exports.h"


#define NGX_HTTP_EXPORTS_SHM_KEY_LEN  32


/* its address is the tag by which nginx tells zones of one name apart */

typedef struct {
    ngx_str_t                   directive;  /* that defines a zone */
    size_t                      size;       /* of the type's state */
    void                      (*init)(void *sh, u_char *start, u_char *end);
} ngx_http_exports_zone_type_t;


/* what the memory of a zone begins with; the type's state follows it */

typedef struct {
    ngx_uint_t                  changing;   /* by the process that has the lock,
                                               or by one that died with it */
    u_char                     *end;        /* of the memory */
} ngx_http_exports_shm_head_t;


struct ngx_http_exports_zone_s {
    const ngx_http_exports_zone_type_t *type;
    ngx_str_t                   name;
    ngx_slab_pool_t            *shpool;     /* for its lock */
    ngx_http_exports_shm_head_t *head;
    void                       *sh;         /* the type's state */
    ngx_uint_t                  lost;       /* its state was: to be logged */

    ngx_msec_t                  idle;       /* of runs of operations */

    /* where the configuration names it first */
    ngx_str_t                   file;
    ngx_uint_t                  line;
    ngx_uint_t                  defined;
};


/* a node of a tree, the first member of the type's own structs */

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
    ngx_uint_t                  taken;      /* that were in use at some time */
    void                       *free;       /* those given back; each begins
                                               with a pointer to the next */
} ngx_http_exports_shm_slots_t;


/* for directives.  NULL: the reason is logged */

ngx_http_exports_zone_t *ngx_http_exports_shm_define(ngx_conf_t *cf,
    const ngx_http_exports_zone_type_t *type);
ngx_shm_zone_t *ngx_http_exports_shm_use(ngx_conf_t *cf, ngx_str_t *name,
    const ngx_http_exports_zone_type_t *type);

/* after all directives: whether every zone that is used is defined */

ngx_int_t ngx_http_exports_shm_check(ngx_conf_t *cf);


/* gives a zone its memory; it starts empty */

void ngx_http_exports_shm_start(ngx_http_exports_zone_t *zone, void *memory,
    size_t size);

/* the state may be changed only between these two */

void ngx_http_exports_shm_lock(ngx_http_exports_zone_t *zone);
void ngx_http_exports_shm_unlock(ngx_http_exports_zone_t *zone);


/* ms since a time that any process of the zone has noted */

ngx_msec_t ngx_http_exports_shm_elapsed(ngx_msec_t since);

void ngx_http_exports_shm_tree_init(ngx_http_exports_shm_tree_t *tree);
void *ngx_http_exports_shm_find(ngx_http_exports_shm_tree_t *tree,
    const u_char *key);
void ngx_http_exports_shm_insert(ngx_http_exports_shm_tree_t *tree,
    ngx_http_exports_shm_node_t *node, const u_char *key);
void ngx_http_exports_shm_delete(ngx_http_exports_shm_tree_t *tree,
    ngx_http_exports_shm_node_t *node);

/* returns the end of the slots */

u_char *ngx_http_exports_shm_slots_init(ngx_http_exports_shm_slots_t *slots,
    u_char *start, size_t size, ngx_uint_t n);

/* NULL: all slots are in use */

void *ngx_http_exports_shm_take(ngx_http_exports_shm_slots_t *slots);
void ngx_http_exports_shm_give(ngx_http_exports_shm_slots_t *slots,
    void *slot);


#endif /* _NGX_HTTP_EXPORTS_SHM_H_INCLUDED_ */
