
/*
 * what other modules do around ours, for others.t: an answer whose length is a
 * header of its own, and a filter behind ours that takes no answer; and what
 * none does, time that has passed
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


typedef struct {
    ngx_uint_t    refuse;       /* an answer, with this status */
    ngx_flag_t    finalize;     /* in its place, or by returning it */
    ngx_msec_t    later;        /* than it is */
} ngx_http_others_loc_conf_t;


static ngx_int_t ngx_http_others_init(ngx_conf_t *cf);
static void *ngx_http_others_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_others_answer(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_others_guard(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* ngx_http_others_guard.c */
ngx_int_t ngx_http_others_guard_handler(ngx_http_request_t *r);


static ngx_command_t  ngx_http_others_commands[] = {

    { ngx_string("others_answer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_others_answer,
      0,
      0,
      NULL },

    { ngx_string("others_guard"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_others_guard,
      0,
      0,
      NULL },

    { ngx_string("others_refuse"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_others_loc_conf_t, refuse),
      NULL },

    { ngx_string("others_finalize"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_others_loc_conf_t, finalize),
      NULL },

    { ngx_string("others_later"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_others_loc_conf_t, later),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_others_module_ctx = {
    NULL, ngx_http_others_init, NULL, NULL, NULL, NULL,
    ngx_http_others_create_loc_conf, NULL
};


ngx_module_t  ngx_http_others_module = {
    NGX_MODULE_V1, &ngx_http_others_module_ctx, ngx_http_others_commands,
    NGX_HTTP_MODULE, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


/* of the library: before ours, so that its filter comes after ours */

ngx_module_t  *ngx_modules[] = { &ngx_http_others_module, NULL };

char  *ngx_module_names[] = { "ngx_http_others_module", NULL };

char  *ngx_module_order[] = {
    "ngx_http_others_module",
    "ngx_http_exports_module",
    NULL
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static ngx_int_t
ngx_http_others_header_filter(ngx_http_request_t *r)
{
    ngx_http_others_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_others_module);

    if (olcf->later != NGX_CONF_UNSET_MSEC) {
        ngx_current_msec -= olcf->later;
    }

    /* not what nginx says for it */

    if (olcf->refuse == NGX_CONF_UNSET_UINT || r->err_status != 0) {
        return ngx_http_next_header_filter(r);
    }

    if (olcf->finalize != 1) {
        return olcf->refuse;
    }

    return ngx_http_filter_finalize_request(r, &ngx_http_others_module,
                                            olcf->refuse);
}


/* for a request: until its answer */

static ngx_int_t
ngx_http_others_preaccess_handler(ngx_http_request_t *r)
{
    ngx_http_others_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_others_module);

    if (olcf->later != NGX_CONF_UNSET_MSEC) {
        ngx_current_msec += olcf->later;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_others_handler(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_buf_t        *b;
    ngx_chain_t       out;
    ngx_table_elt_t  *h;

    b = ngx_calloc_buf(r->pool);
    h = ngx_list_push(&r->headers_out.headers);

    if (b == NULL || h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Content-Length");
    ngx_str_set(&h->value, "5");

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length = h;
    r->headers_out.content_length_n = 5;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->pos = (u_char *) "abcd\n";
    b->last = b->pos + 5;
    b->memory = 1;
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static char *
ngx_http_others_answer(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_others_handler;

    return NGX_CONF_OK;
}


static char *
ngx_http_others_guard(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_others_guard_handler;

    return NGX_CONF_OK;
}


static void *
ngx_http_others_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_others_loc_conf_t  *olcf;

    olcf = ngx_palloc(cf->pool, sizeof(ngx_http_others_loc_conf_t));

    if (olcf != NULL) {
        olcf->refuse = NGX_CONF_UNSET_UINT;
        olcf->finalize = NGX_CONF_UNSET;
        olcf->later = NGX_CONF_UNSET_MSEC;
    }

    return olcf;
}


static ngx_int_t
ngx_http_others_init(ngx_conf_t *cf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_others_preaccess_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_others_header_filter;

    return NGX_OK;
}
