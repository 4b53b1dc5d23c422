
/* the tables of errors: our own, and those that nginx raises around us */

#include "ngx_http_exports.h"


/* by reason; a second message is that of the user exports API */

static const ngx_http_exports_error_t
    ngx_http_exports_errors[NGX_HTTP_EXPORTS_NO_ERROR] = {

    [NGX_HTTP_EXPORTS_MISSING_AUTHORIZATION] =
    { NGX_HTTP_UNAUTHORIZED,
      ngx_string("missing_authorization"),
      ngx_string("Missing Bearer token."),
      ngx_string("Unauthenticated.") },

    [NGX_HTTP_EXPORTS_INVALID_TOKEN] =
    { NGX_HTTP_UNAUTHORIZED,
      ngx_string("invalid_token"),
      ngx_string("The token is invalid for this route."),
      ngx_string("Unauthenticated.") },

    [NGX_HTTP_EXPORTS_BAD_STATUS] =
    { NGX_HTTP_BAD_REQUEST,
      ngx_string("invalid_export_status"),
      ngx_string("status must be ready, not_found, or all."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_LIMIT] =
    { NGX_HTTP_BAD_REQUEST,
      ngx_string("validation_failed"),
      ngx_string("limit must be an integer between 1 and 500."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_OFFSET] =
    { NGX_HTTP_BAD_REQUEST,
      ngx_string("validation_failed"),
      ngx_string("offset must be an integer of 0 or more."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_NO_ROUTE] =
    { NGX_HTTP_NOT_FOUND,
      ngx_string("not_found"),
      ngx_string("There is no such route."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_NO_EXPORT] =
    { NGX_HTTP_NOT_FOUND,
      ngx_string("not_found"),
      ngx_string("There is no such export."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_NO_ARTIFACT] =
    { NGX_HTTP_NOT_FOUND,
      ngx_string("not_found"),
      ngx_string("The file of this export is missing."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_EXPIRED] =
    { NGX_HTTP_NOT_FOUND,
      ngx_string("not_found"),
      ngx_string("This export has expired."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_NEEDS_ADMIN] =
    { NGX_HTTP_FORBIDDEN,
      ngx_string("permission_denied"),
      ngx_string("The token lacks the project admin permission."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_NEEDS_TABLE] =
    { NGX_HTTP_FORBIDDEN,
      ngx_string("permission_denied"),
      ngx_string("The token lacks the record-read permission for this table."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_SIGNATURE] =
    { NGX_HTTP_FORBIDDEN,
      ngx_string("permission_denied"),
      ngx_string("Invalid signature."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_FILTER] =
    { NGX_HTTP_BAD_REQUEST,
      ngx_string("validation_failed"),
      ngx_string("Such a filter is not allowed."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_VALUE] =
    { NGX_HTTP_EXPORTS_UNPROCESSABLE,
      ngx_string("validation_failed"),
      ngx_string("The given data was invalid."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_TOO_MANY_ATTEMPTS] =
    { NGX_HTTP_TOO_MANY_REQUESTS,
      ngx_string("too_many_requests"),
      ngx_string("Too Many Attempts."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_GATEWAY] =
    { NGX_HTTP_BAD_GATEWAY,
      ngx_string("bad_gateway"),
      ngx_string("The storage behind this route failed."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_BAD_METHOD] =
    { NGX_HTTP_NOT_ALLOWED,
      ngx_string("method_not_allowed"),
      ngx_string("The method must be GET or HEAD."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_UNREADABLE] =
    { NGX_HTTP_INTERNAL_SERVER_ERROR,
      ngx_string("internal_error"),
      ngx_string("The exports cannot be read."),
      ngx_null_string },

    [NGX_HTTP_EXPORTS_UNAVAILABLE] =
    { NGX_HTTP_SERVICE_UNAVAILABLE,
      ngx_string("store_unavailable"),
      ngx_string("The exports are not available at the moment."),
      ngx_null_string }
};


/*
 * Raised by nginx, by status.  The last entry of a class (4xx, 5xx) stands for
 * its other statuses, so the order matters
 */

static const ngx_http_exports_error_t  ngx_http_exports_raised[] = {

    { NGX_HTTP_UNAUTHORIZED,
      ngx_string("missing_authorization"),
      ngx_string("Authorization is required."),
      ngx_string("Unauthenticated.") },

    { NGX_HTTP_FORBIDDEN,
      ngx_string("forbidden"),
      ngx_string("Access to this route is forbidden."),
      ngx_null_string },

    { NGX_HTTP_NOT_FOUND,
      ngx_string("not_found"),
      ngx_string("Not found."),
      ngx_null_string },

    { NGX_HTTP_NOT_ALLOWED,
      ngx_string("method_not_allowed"),
      ngx_string("The method is not allowed."),
      ngx_null_string },

    { NGX_HTTP_PRECONDITION_FAILED,
      ngx_string("precondition_failed"),
      ngx_string("A precondition of the request does not hold."),
      ngx_null_string },

    { NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
      ngx_string("payload_too_large"),
      ngx_string("The request body is too large."),
      ngx_null_string },

    { NGX_HTTP_RANGE_NOT_SATISFIABLE,
      ngx_string("range_not_satisfiable"),
      ngx_string("The range cannot be satisfied."),
      ngx_null_string },

    { NGX_HTTP_TOO_MANY_REQUESTS,
      ngx_string("too_many_requests"),
      ngx_string("Too many requests."),
      ngx_string("Too Many Attempts.") },

    { NGX_HTTP_BAD_REQUEST,
      ngx_string("bad_request"),
      ngx_string("The request cannot be processed."),
      ngx_null_string },

    { NGX_HTTP_BAD_GATEWAY,
      ngx_string("bad_gateway"),
      ngx_string("The storage behind this route failed."),
      ngx_null_string },

    { NGX_HTTP_GATEWAY_TIME_OUT,
      ngx_string("bad_gateway"),
      ngx_string("The storage behind this route did not answer in time."),
      ngx_null_string },

    { NGX_HTTP_SERVICE_UNAVAILABLE,
      ngx_string("store_unavailable"),
      ngx_string("The service is not available at the moment."),
      ngx_null_string },

    { NGX_HTTP_INTERNAL_SERVER_ERROR,
      ngx_string("internal_error"),
      ngx_string("The request could not be served."),
      ngx_null_string }
};

static const ngx_http_exports_error_t  ngx_http_exports_limited = {
    NGX_HTTP_SERVICE_UNAVAILABLE,
    ngx_string("too_many_requests"),
    ngx_string("Too many requests."),
    ngx_string("Too Many Attempts.")
};

/* limit_req_status and limit_conn_status: their modules keep these private */
#define NGX_HTTP_EXPORTS_REQ_REJECTED   3
#define NGX_HTTP_EXPORTS_CONN_REJECTED  2

#define NGX_HTTP_EXPORTS_RAISED                                               \
    (sizeof(ngx_http_exports_raised) / sizeof(ngx_http_exports_error_t))


const ngx_http_exports_error_t *
ngx_http_exports_error(ngx_http_exports_reason_e reason)
{
    return &ngx_http_exports_errors[reason];
}


/* 503 is the default of limit_req and limit_conn, too: the store is not to
   blame for it */

const ngx_http_exports_error_t *
ngx_http_exports_error_of_status(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t  i, same;

    same = NGX_HTTP_EXPORTS_RAISED - 1;

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE
        && (r->main->limit_req_status == NGX_HTTP_EXPORTS_REQ_REJECTED
            || r->main->limit_conn_status == NGX_HTTP_EXPORTS_CONN_REJECTED))
    {
        return &ngx_http_exports_limited;
    }

    for (i = 0; i < NGX_HTTP_EXPORTS_RAISED; i++) {

        if (ngx_http_exports_raised[i].status == status) {
            return &ngx_http_exports_raised[i];
        }

        if (ngx_http_exports_raised[i].status / 100 == status / 100) {
            same = i;
        }
    }

    return &ngx_http_exports_raised[same];
}
