
/*
 * setters of the directives that no feature's file has: the store, the API and
 * its prefix, the fallback; and what becomes of error pages
 */

#include "ngx_http_exports.h"


/* "check=", in ms */
#define NGX_HTTP_EXPORTS_CHECK    250

/* "map_size=": at most half of the addresses of a process, which needs some
   for the rest */
#define NGX_HTTP_EXPORTS_MAP_MIN  ((off_t) 1 << 20)
#define NGX_HTTP_EXPORTS_MAP_MAX  ((off_t) 1 << 46)


static char *ngx_http_exports_conf_store_params(ngx_conf_t *cf, off_t *size,
    ngx_int_t *check, ngx_uint_t *immutable);
static const ngx_http_exports_api_t *ngx_http_exports_conf_find_api(
    const ngx_str_t *name);
static char *ngx_http_exports_conf_given_prefix(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_str_t *prefix);
static char *ngx_http_exports_conf_prefix(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *elcf, ngx_str_t *prefix);
static ngx_uint_t ngx_http_exports_conf_dots(ngx_str_t *prefix);
static void ngx_http_exports_conf_location(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *elcf, ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_exports_conf_matches(
    ngx_http_exports_loc_conf_t *elcf, ngx_http_core_loc_conf_t *clcf);
static char *ngx_http_exports_conf_routes(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *elcf);


static const ngx_http_exports_api_t
    *ngx_http_exports_apis[NGX_HTTP_EXPORTS_APIS] = {
    [NGX_HTTP_EXPORTS_API_PROJECT] = &ngx_http_exports_project,
    [NGX_HTTP_EXPORTS_API_USER] = &ngx_http_exports_user
};


char *
ngx_http_exports_conf_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    off_t        size;
    ngx_int_t    check;
    ngx_str_t   *value, path;
    ngx_uint_t   immutable;

    if (elcf->store != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    size = EXPORTS_MAP_SIZE;
    check = NGX_HTTP_EXPORTS_CHECK;
    immutable = 0;

    if (ngx_http_exports_conf_store_params(cf, &size, &check, &immutable)
        != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    path = value[1];

    if (path.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "empty path of a store");
        return NGX_CONF_ERROR;
    }

    if (ngx_conf_full_name(cf->cycle, &path, 0) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    elcf->store = ngx_http_exports_store_create(cf, &path, (size_t) size,
                                                (ngx_msec_t) check, immutable);

    return elcf->store != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* what follows the path */

static char *
ngx_http_exports_conf_store_params(ngx_conf_t *cf, off_t *size,
    ngx_int_t *check, ngx_uint_t *immutable)
{
    ngx_str_t   *value, s;
    ngx_uint_t   i;

    value = cf->args->elts;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "map_size=", 9) == 0) {
            s.data = value[i].data + 9;
            s.len = value[i].len - 9;

            *size = ngx_parse_offset(&s);

            if (*size == NGX_ERROR || *size < NGX_HTTP_EXPORTS_MAP_MIN
                || *size > NGX_HTTP_EXPORTS_MAP_MAX)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid map_size \"%V\", it must be a "
                                   "size from 1m to 65536g", &s);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "check=", 6) == 0) {
            s.data = value[i].data + 6;
            s.len = value[i].len - 6;

            *check = ngx_parse_time(&s, 0);

            if (*check == NGX_ERROR || *check == 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "invalid check \"%V\", it must be a time "
                                   "of at least 1ms", &s);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "immutable") == 0) {
            *immutable = 1;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[i]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_exports_conf_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    ngx_str_t                 *value, prefix;
    ngx_http_core_loc_conf_t  *clcf;

    if (elcf->api != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    elcf->api = ngx_http_exports_conf_find_api(&value[1]);

    if (elcf->api == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown API \"%V\", it must be \"project\" or "
                           "\"user\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"exports_api\" " NGX_HTTP_EXPORTS_NOT_ALONE);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_exports_conf_given_prefix(cf, clcf, &prefix) != NGX_CONF_OK
        || ngx_http_exports_conf_prefix(cf, elcf, &prefix) != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    ngx_http_exports_conf_location(cf, elcf, clcf);

    if (ngx_http_exports_conf_routes(cf, elcf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    clcf->handler = ngx_http_exports_handler;

    return NGX_CONF_OK;
}


char *
ngx_http_exports_conf_fallback(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_exports_loc_conf_t *elcf = conf;

    ngx_str_t  *value;

    if (elcf->fallback.name.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ngx_str_set(&elcf->fallback.name, "");
        return NGX_CONF_OK;
    }

    if (value[1].len < 2 || value[1].data[0] != '@') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is neither \"off\" nor the name of a named "
                           "location, \"@name\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    elcf->fallback.name = value[1];
    elcf->fallback.file = cf->conf_file->file.name;
    elcf->fallback.line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* named locations are known only when all of the configuration is read */

ngx_int_t
ngx_http_exports_check_fallbacks(ngx_conf_t *cf)
{
    ngx_uint_t                      i;
    ngx_http_core_loc_conf_t      **clcfp;
    ngx_http_exports_fallback_t    *fallback;
    ngx_http_exports_main_conf_t   *emcf;

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_exports_module);
    fallback = emcf->fallbacks.elts;

    for (i = 0; i < emcf->fallbacks.nelts; i++) {

        clcfp = fallback[i].cscf->named_locations;

        while (clcfp != NULL && *clcfp != NULL
               && ((*clcfp)->name.len != fallback[i].name.len
                   || ngx_strncmp((*clcfp)->name.data, fallback[i].name.data,
                                  fallback[i].name.len)
                      != 0))
        {
            clcfp++;
        }

        if (clcfp == NULL || *clcfp == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "server \"%V\" has no location \"%V\" for "
                          "\"exports_fallback\" in %V:%ui",
                          &fallback[i].cscf->server_name, &fallback[i].name,
                          &fallback[i].file, fallback[i].line);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static const ngx_http_exports_api_t *
ngx_http_exports_conf_find_api(const ngx_str_t *name)
{
    ngx_uint_t                     i;
    const ngx_http_exports_api_t  *api;

    for (i = 0; i < NGX_HTTP_EXPORTS_APIS; i++) {
        api = ngx_http_exports_apis[i];

        if (api->name.len == name->len
            && ngx_strcmp(api->name.data, name->data) == 0)
        {
            return api;
        }
    }

    return NULL;
}


/* that of "prefix=", else the location's own */

static char *
ngx_http_exports_conf_given_prefix(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf, ngx_str_t *prefix)
{
    ngx_str_t  *value;

    if (cf->args->nelts == 2) {

        if (clcf->regex != NULL || clcf->named) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"exports_api\" needs \"prefix=\" in a "
                               "location that is not given by a prefix");
            return NGX_CONF_ERROR;
        }

        *prefix = clcf->name;

        return NGX_CONF_OK;
    }

    value = cf->args->elts;

    if (ngx_strncmp(value[2].data, "prefix=", 7) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    prefix->data = value[2].data + 7;
    prefix->len = value[2].len - 7;

    return NGX_CONF_OK;
}


static char *
ngx_http_exports_conf_prefix(ngx_conf_t *cf, ngx_http_exports_loc_conf_t *elcf,
    ngx_str_t *prefix)
{
    size_t       escaped;
    ngx_uint_t   i;

    if (prefix->len == 0 || prefix->data[0] != '/') {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"%V\", it must begin with \"/\"",
                           prefix);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < prefix->len; i++) {
        if (prefix->data[i] < 0x20 || prefix->data[i] == 0x7f) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "control character in the prefix \"%V\"",
                               prefix);
            return NGX_CONF_ERROR;
        }
    }

    if (ngx_http_exports_conf_dots(prefix)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"%V\", it must not have \".\" or "
                           "\"..\" between slashes: nginx resolves them in "
                           "URIs", prefix);
        return NGX_CONF_ERROR;
    }

    elcf->prefix = *prefix;

    if (prefix->data[prefix->len - 1] == '/') {
        elcf->prefix.len--;
    }

    if (elcf->prefix.len == 0 && elcf->api->scope_capture == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid prefix \"/\": the list of this API is at "
                           "the prefix without its slash");
        return NGX_CONF_ERROR;
    }

    /* after percent-encoding JSON has nothing to escape */

    escaped = 2 * ngx_escape_uri(NULL, elcf->prefix.data, elcf->prefix.len,
                                 NGX_ESCAPE_URI);

    elcf->link.len = elcf->prefix.len + escaped;
    elcf->link.data = ngx_pnalloc(cf->pool, elcf->link.len);
    if (elcf->link.data == NULL) {
        return NGX_CONF_ERROR;
    }

    (void) ngx_escape_uri(elcf->link.data, elcf->prefix.data,
                          elcf->prefix.len, NGX_ESCAPE_URI);

    return NGX_CONF_OK;
}


/* whether a part between slashes is "." or ".." */

static ngx_uint_t
ngx_http_exports_conf_dots(ngx_str_t *prefix)
{
    u_char     *slash, *next, *last;
    ngx_str_t   part;

    last = prefix->data + prefix->len;

    for (slash = prefix->data; slash < last; slash = next) {

        next = ngx_strlchr(slash + 1, last, '/');

        if (next == NULL) {
            next = last;
        }

        part.data = slash + 1;
        part.len = next - part.data;

        if ((part.len == 1 && part.data[0] == '.')
            || (part.len == 2 && ngx_strncmp(part.data, "..", 2) == 0))
        {
            return 1;
        }
    }

    return 0;
}


/*
 * only warns: "rewrite ... break" may lead there all the same, or the list may
 * have a location of its own
 */

static void
ngx_http_exports_conf_location(ngx_conf_t *cf,
    ngx_http_exports_loc_conf_t *elcf, ngx_http_core_loc_conf_t *clcf)
{
    if (clcf->regex != NULL || clcf->named
        || ngx_http_exports_conf_matches(elcf, clcf))
    {
        return;
    }

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "the list of the API is at \"%V%s\", which the "
                       "location \"%V\" does not match", &elcf->prefix,
                       elcf->api->scope_capture ? "/{project}/exports" : "",
                       &clcf->name);
}


/* with a scope in the path: whether the list of at least one scope matches */

static ngx_uint_t
ngx_http_exports_conf_matches(ngx_http_exports_loc_conf_t *elcf,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_str_t  *name, *prefix;

    name = &clcf->name;
    prefix = &elcf->prefix;

    if (ngx_strncmp(name->data, prefix->data,
                    ngx_min(name->len, prefix->len))
        != 0)
    {
        return 0;
    }

    if (elcf->api->scope_capture == 0) {
        return clcf->exact_match ? name->len == prefix->len
                                 : name->len <= prefix->len;
    }

    if (name->len <= prefix->len) {
        return !clcf->exact_match;
    }

    return name->data[prefix->len] == '/'
           && !(clcf->exact_match && name->len == prefix->len + 1);
}


/* the pattern is compiled once for all locations of an API */

static char *
ngx_http_exports_conf_routes(ngx_conf_t *cf, ngx_http_exports_loc_conf_t *elcf)
{
    ngx_http_exports_routes_t     **routes;
    ngx_http_exports_main_conf_t   *emcf;

    emcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_exports_module);

    routes = &emcf->routes[elcf->api->index];

    if (*routes == NULL) {
        *routes = ngx_http_exports_route_compile(cf, elcf->api);

        if (*routes == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    elcf->routes = *routes;

    return NGX_CONF_OK;
}


/*
 * Clients of an API get its own errors, not the pages of the site around it: an
 * inherited "error_page" does not apply, one in the location itself does.
 * Locations inside inherit as if the API were not there.  nginx has merged its
 * lists by now
 */

void
ngx_http_exports_conf_error_pages(ngx_http_core_loc_conf_t *clcf,
    ngx_http_exports_loc_conf_t *prev, ngx_http_exports_loc_conf_t *conf)
{
    conf->merged_error_pages = clcf->error_pages;

    if (conf->api == NULL) {
        return;
    }

    if (clcf->error_pages == prev->merged_error_pages) {

        /* "if" and "limit_except" have the pages of their location */

        clcf->error_pages = clcf->noname ? prev->error_pages : NULL;
    }

    conf->error_pages = clcf->error_pages;
}
