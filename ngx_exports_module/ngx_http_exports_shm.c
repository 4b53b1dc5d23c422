
#include "ngx_http_exports_shm.h"


/* the least size of a zone, as in nginx's own modules */
#define NGX_HTTP_EXPORTS_SHM_PAGES  8


static ngx_shm_zone_t *ngx_http_exports_shm_add(ngx_conf_t *cf,
    ngx_str_t *name, size_t size, const ngx_http_exports_zone_type_t *type);
static ngx_int_t ngx_http_exports_shm_init(ngx_shm_zone_t *shm_zone,
    void *data);
static void ngx_http_exports_shm_reset(ngx_http_exports_zone_t *zone);
static void ngx_http_exports_shm_log_empty(ngx_shm_zone_t *shm_zone);
static ngx_shm_zone_t *ngx_http_exports_shm_previous(ngx_str_t *name);
static ngx_int_t ngx_http_exports_shm_cmp(ngx_rbtree_key_t hash,
    const u_char *key, ngx_rbtree_node_t *node);
static void ngx_http_exports_shm_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


/* the first argument of the directive is "name:size" */

ngx_http_exports_zone_t *
ngx_http_exports_shm_define(ngx_conf_t *cf,
    const ngx_http_exports_zone_type_t *type)
{
    u_char                   *p;
    ssize_t                   size;
    ngx_str_t                *value, name, s;
    ngx_shm_zone_t           *shm_zone;
    ngx_http_exports_zone_t  *zone;

    value = cf->args->elts;

    p = (u_char *) ngx_strchr(value[1].data, ':');

    if (p == NULL || p == value[1].data) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone \"%V\", it must be \"name:size\"",
                           &value[1]);
        return NULL;
    }

    name.data = value[1].data;
    name.len = p - name.data;

    s.data = p + 1;
    s.len = value[1].data + value[1].len - s.data;

    if (name.len == 3 && ngx_strncmp(name.data, "off", 3) == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "a zone cannot be named \"off\"");
        return NULL;
    }

    size = ngx_parse_size(&s);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of zone \"%V\"", &s, &name);
        return NULL;
    }

    if (size < (ssize_t) (NGX_HTTP_EXPORTS_SHM_PAGES * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is too small, it must have at least "
                           "%ui bytes", &name,
                           NGX_HTTP_EXPORTS_SHM_PAGES * ngx_pagesize);
        return NULL;
    }

    shm_zone = ngx_http_exports_shm_add(cf, &name, size, type);
    if (shm_zone == NULL) {
        return NULL;
    }

    zone = shm_zone->data;

    if (zone->defined) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone \"%V\" is defined twice", &name);
        return NULL;
    }

    zone->defined = 1;

    return zone;
}


ngx_shm_zone_t *
ngx_http_exports_shm_use(ngx_conf_t *cf, ngx_str_t *name,
    const ngx_http_exports_zone_type_t *type)
{
    if (name->len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "empty name of a zone");
        return NULL;
    }

    return ngx_http_exports_shm_add(cf, name, 0, type);
}


/* nginx would find a zone without a size, too, but not say who names it */

ngx_int_t
ngx_http_exports_shm_check(ngx_conf_t *cf)
{
    ngx_uint_t                i;
    ngx_shm_zone_t           *shm_zone;
    ngx_list_part_t          *part;
    ngx_http_exports_zone_t  *zone;

    for (part = &cf->cycle->shared_memory.part; part; part = part->next) {

        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (shm_zone[i].init != ngx_http_exports_shm_init) {
                continue;
            }

            zone = shm_zone[i].data;

            if (zone->defined) {
                continue;
            }

            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "no \"%V\" defines the zone \"%V\" in %V:%ui",
                          &zone->type->directive, &shm_zone[i].shm.name,
                          &zone->file, zone->line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* a zone may be used before it is defined */

static ngx_shm_zone_t *
ngx_http_exports_shm_add(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    const ngx_http_exports_zone_type_t *type)
{
    ngx_shm_zone_t           *shm_zone;
    ngx_http_exports_zone_t  *zone;

    shm_zone = ngx_shared_memory_add(cf, name, size, (void *) type);

    if (shm_zone == NULL || shm_zone->data != NULL) {
        return shm_zone;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_exports_zone_t));
    if (zone == NULL) {
        return NULL;
    }

    zone->type = type;
    zone->name = shm_zone->shm.name;
    zone->file = cf->conf_file->file.name;
    zone->line = cf->conf_file->line;

    shm_zone->init = ngx_http_exports_shm_init;
    shm_zone->data = zone;

    return shm_zone;
}


/*
 * "data" is the zone of the previous configuration, if it had the same name,
 * type and size.  The type is an address in this module, so that another build
 * of it, loaded by a reload, does not get a state that it may not understand
 */

static ngx_int_t
ngx_http_exports_shm_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_http_exports_zone_t *old = data;

    size_t                    size;
    u_char                   *p;
    ngx_http_exports_zone_t  *zone;

    zone = shm_zone->data;
    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (old != NULL) {
        zone->head = old->head;
        zone->sh = old->sh;
        return NGX_OK;
    }

    ngx_http_exports_shm_log_empty(shm_zone);

    /* all the memory there is, once and for all */

    size = zone->shpool->pfree * ngx_pagesize;

    p = ngx_slab_alloc(zone->shpool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_exports_shm_start(zone, p, size);

    return NGX_OK;
}


void
ngx_http_exports_shm_start(ngx_http_exports_zone_t *zone, void *memory,
    size_t size)
{
    zone->head = memory;
    zone->head->end = (u_char *) memory + size;
    zone->sh = zone->head + 1;

    ngx_http_exports_shm_reset(zone);
}


static void
ngx_http_exports_shm_reset(ngx_http_exports_zone_t *zone)
{
    u_char  *start;

    start = (u_char *) zone->sh + zone->type->size;

    ngx_memzero(zone->sh, zone->type->size);
    zone->type->init(zone->sh, ngx_align_ptr(start, NGX_ALIGNMENT),
                     zone->head->end);
}


/*
 * nginx takes the lock from a process that has died.  If it died in the middle
 * of a change, trees and queues may lead anywhere, in all processes and after
 * reloads, too: so the state starts empty
 */

void
ngx_http_exports_shm_lock(ngx_http_exports_zone_t *zone)
{
    ngx_shmtx_lock(&zone->shpool->mutex);

    if (zone->head->changing) {
        ngx_http_exports_shm_reset(zone);
        zone->lost = 1;
    }

    zone->head->changing = 1;
    ngx_memory_barrier();
}


void
ngx_http_exports_shm_unlock(ngx_http_exports_zone_t *zone)
{
    ngx_memory_barrier();
    zone->head->changing = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (zone->lost) {
        zone->lost = 0;
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "exports zone \"%V\" was being changed by a process "
                      "that died, its state starts empty", &zone->name);
    }
}


/* says why a zone does not go on with the state of its predecessor */

static void
ngx_http_exports_shm_log_empty(ngx_shm_zone_t *shm_zone)
{
    ngx_shm_zone_t  *old;

    old = ngx_http_exports_shm_previous(&shm_zone->shm.name);

    if (old == NULL) {
        return;
    }

    if (old->shm.size != shm_zone->shm.size) {
        ngx_log_error(NGX_LOG_NOTICE, shm_zone->shm.log, 0,
                      "exports zone \"%V\" has another size now, its state "
                      "starts empty", &shm_zone->shm.name);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, shm_zone->shm.log, 0,
                      "exports zone \"%V\" has another use or module now, its "
                      "state starts empty", &shm_zone->shm.name);
    }
}


/* while zones are made, ngx_cycle is still that of the old configuration */

static ngx_shm_zone_t *
ngx_http_exports_shm_previous(ngx_str_t *name)
{
    ngx_uint_t                 i;
    ngx_shm_zone_t            *shm_zone;
    volatile ngx_list_part_t  *part;

    for (part = &ngx_cycle->shared_memory.part; part; part = part->next) {

        shm_zone = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (shm_zone[i].shm.name.len == name->len
                && ngx_strncmp(shm_zone[i].shm.name.data, name->data,
                               name->len)
                   == 0)
            {
                return &shm_zone[i];
            }
        }
    }

    return NULL;
}


/*
 * ngx_current_msec follows one clock in all processes, whatever reloads or
 * changes of the date there are.  But each process updates its own only when it
 * wakes up, and may be held up for minutes in the middle of an event, by a disk
 * or a debugger: so a time that another one has noted may lie ahead, however
 * far.  That counts as now
 */

ngx_msec_t
ngx_http_exports_shm_elapsed(ngx_msec_t since)
{
    ngx_msec_int_t  ms;

    ms = (ngx_msec_int_t) (ngx_current_msec - since);

    return ms < 0 ? 0 : (ngx_msec_t) ms;
}


void
ngx_http_exports_shm_tree_init(ngx_http_exports_shm_tree_t *tree)
{
    ngx_rbtree_init(&tree->rbtree, &tree->sentinel,
                    ngx_http_exports_shm_insert_value);
}


void *
ngx_http_exports_shm_find(ngx_http_exports_shm_tree_t *tree, const u_char *key)
{
    ngx_int_t           rc;
    ngx_rbtree_key_t    hash;
    ngx_rbtree_node_t  *node;

    ngx_memcpy(&hash, key, sizeof(ngx_rbtree_key_t));

    node = tree->rbtree.root;

    while (node != &tree->sentinel) {

        rc = ngx_http_exports_shm_cmp(hash, key, node);

        if (rc == 0) {
            return (ngx_http_exports_shm_node_t *) node;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


void
ngx_http_exports_shm_insert(ngx_http_exports_shm_tree_t *tree,
    ngx_http_exports_shm_node_t *node, const u_char *key)
{
    ngx_memcpy(node->key, key, NGX_HTTP_EXPORTS_SHM_KEY_LEN);
    ngx_memcpy(&node->node.key, key, sizeof(ngx_rbtree_key_t));

    ngx_rbtree_insert(&tree->rbtree, &node->node);
}


void
ngx_http_exports_shm_delete(ngx_http_exports_shm_tree_t *tree,
    ngx_http_exports_shm_node_t *node)
{
    ngx_rbtree_delete(&tree->rbtree, &node->node);
}


/*
 * By the first bytes, then by the whole key: the tree stays balanced, whatever
 * keys somebody may choose
 */

static ngx_int_t
ngx_http_exports_shm_cmp(ngx_rbtree_key_t hash, const u_char *key,
    ngx_rbtree_node_t *node)
{
    if (hash != node->key) {
        return hash < node->key ? -1 : 1;
    }

    return ngx_memcmp(key, ((ngx_http_exports_shm_node_t *) node)->key,
                      NGX_HTTP_EXPORTS_SHM_KEY_LEN);
}


static void
ngx_http_exports_shm_insert_value(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    const u_char        *key;
    ngx_rbtree_node_t  **p;

    key = ((ngx_http_exports_shm_node_t *) node)->key;

    for ( ;; ) {

        p = (ngx_http_exports_shm_cmp(node->key, key, temp) < 0)
                ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


u_char *
ngx_http_exports_shm_slots_init(ngx_http_exports_shm_slots_t *slots,
    u_char *start, size_t size, ngx_uint_t n)
{
    slots->start = start;
    slots->size = size;
    slots->n = n;
    slots->taken = 0;
    slots->free = NULL;

    return start + n * size;
}


/*
 * Slots that were given back are taken first, so that no more memory of a zone
 * is touched than was needed at some time
 */

void *
ngx_http_exports_shm_take(ngx_http_exports_shm_slots_t *slots)
{
    void  *slot;

    slot = slots->free;

    if (slot != NULL) {
        slots->free = *(void **) slot;
        return slot;
    }

    if (slots->taken == slots->n) {
        return NULL;
    }

    return slots->start + slots->size * slots->taken++;
}


void
ngx_http_exports_shm_give(ngx_http_exports_shm_slots_t *slots, void *slot)
{
    *(void **) slot = slots->free;
    slots->free = slot;
}
