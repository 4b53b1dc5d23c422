
/* one table of all options, from which getopt_long() and the usage are made */

#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "exports_time.h"
#include "exportsctl.h"


#define BATCH_DEFAULT  100000

#define SCOPED   (CTL_GET|CTL_LIST|CTL_DELETE|CTL_EXPORT|CTL_TOKEN_CREATE     \
                  |CTL_TOKEN_LIST)
#define WRITERS  (CTL_INIT|CTL_IMPORT|CTL_PUT|CTL_DELETE|CTL_TOKEN_CREATE     \
                  |CTL_TOKEN_IMPORT|CTL_TOKEN_REVOKE|CTL_VERIFY|CTL_SWEEP)
#define COMMANDS_ALL  (~0U)

/* what getopt_long() returns for the option with index 0: more than any char */
#define VAL_FIRST    0x100
#define OPTIONS_MAX  32


/* returns what is wrong with the value, or NULL */
typedef const char *(*setter_pt)(ctl_args_t *args, size_t field,
    const char *value);

typedef struct {
    const char  *name;
    const char  *value;         /* its name in the usage; NULL: a flag */
    unsigned     commands;
    setter_pt    set;
    size_t       field;         /* offsetof() in ctl_args_t for set_flag() and
                                   set_number(), the kind for set_scope(), 0
                                   for all others */
    const char  *help;
} option_t;


static const char *set_flag(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_number(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_durability(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_expires(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_group(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_lineage(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_map_size(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_root(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_scope(ctl_args_t *args, size_t kind,
    const char *value);
static const char *set_status(ctl_args_t *args, size_t field,
    const char *value);
static const char *set_table(ctl_args_t *args, size_t field,
    const char *value);

static void build(struct option *options, unsigned command);
static int stopped_at_dash(int argc, char **argv);
static int refuse(int c, char **argv);
static int take_operands(ctl_args_t *args, char **operands, int n);
static int check_together(ctl_args_t *args);
static int parse_number(const char **text, uint64_t *number);


static const option_t  table[] = {

    { "admin", NULL, CTL_TOKEN_CREATE, set_flag, offsetof(ctl_args_t, admin),
      "may download everything of the project" },

    { "atomic", NULL, CTL_IMPORT, set_flag, offsetof(ctl_args_t, atomic),
      "one transaction: all lines, or nothing" },

    { "batch", "N", CTL_IMPORT, set_number, offsetof(ctl_args_t, batch),
      "commit after every N lines (default 100000)" },

    { "durability", "MODE", CTL_IMPORT, set_durability, 0,
      "full (default); nometasync risks one commit" },

    { "dry-run", NULL, CTL_SWEEP, set_flag, offsetof(ctl_args_t, dry_run),
      "say what would be changed, but change nothing" },

    { "expires", "TIME", CTL_TOKEN_CREATE, set_expires, 0,
      "RFC 3339, or from now: 90m, 12h, 30d" },

    { "group", "NAME", CTL_INIT, set_group, 0,
      "group of the files: that of nginx's workers" },

    { "help", NULL, COMMANDS_ALL, set_flag, offsetof(ctl_args_t, help),
      "print this text" },

    { "json", NULL, COMMANDS_ALL & ~CTL_TOP, set_flag,
      offsetof(ctl_args_t, json), "print JSON, for programs" },

    { "limit", "N", CTL_LIST, set_number, offsetof(ctl_args_t, limit),
      "only the N newest" },

    { "lineage", "UUID", CTL_INIT, set_lineage, 0,
      "lineage of the store; only copies may share one" },

    { "map-size", "SIZE", WRITERS|CTL_STAT, set_map_size, 0,
      "how large the store may grow (default 64g); k, m, g, t" },

    { "no-verify", NULL, CTL_BACKUP, set_flag,
      offsetof(ctl_args_t, no_verify), "do not check the copy" },

    { "project", "SLUG", SCOPED, set_scope, EXPORTS_PROJECT,
      "of this project" },

    { "repair", NULL, CTL_VERIFY, set_flag, offsetof(ctl_args_t, repair),
      "mend indexes, remove what cannot be read" },

    { "root", "DIR", CTL_SWEEP, set_root, 0,
      "the directory with the files: that of exports_root" },

    { "status", "STATUS", CTL_LIST, set_status, 0,
      "only manifests of this status" },

    { "stream", NULL, CTL_IMPORT, set_flag, offsetof(ctl_args_t, stream),
      "commit when the input pauses, and say so" },

    { "table", "NAME", CTL_TOKEN_CREATE, set_table, 0,
      "may download this table only; may be repeated" },

    { "tokens", NULL, CTL_EXPORT, set_flag, offsetof(ctl_args_t, tokens),
      "tokens too, as their hashes" },

    { "user", "ID", SCOPED, set_scope, EXPORTS_USER,
      "of this user" },

    { "version", NULL, CTL_TOP, set_flag, offsetof(ctl_args_t, version),
      "print the version" }
};

#define OPTIONS  (sizeof(table) / sizeof(table[0]))

_Static_assert(OPTIONS < OPTIONS_MAX, "the array for getopt_long");


int
ctl_options(ctl_args_t *args, const ctl_command_t *command, int argc,
    char **argv, char **operands)
{
    int              c, n;
    const char      *fault;
    struct option    options[OPTIONS_MAX];
    const option_t  *option;

    memset(args, 0, sizeof(ctl_args_t));

    args->command = command;
    args->batch = BATCH_DEFAULT;
    args->group = (gid_t) -1;

    build(options, command->bit);

    n = 0;

    for ( ;; ) {

        /* "-": operands may stand between options, whatever POSIXLY_CORRECT
           says */

        c = getopt_long(argc, argv, "-:", options, NULL);

        if (c == -1 && stopped_at_dash(argc, argv)) {
            operands[n++] = argv[optind++];
            continue;
        }

        if (c == -1) {
            break;
        }

        if (c == 1) {
            operands[n++] = optarg;
            continue;
        }

        if (c < VAL_FIRST) {
            return refuse(c, argv);
        }

        option = &table[c - VAL_FIRST];
        fault = option->set(args, option->field, optarg);

        if (fault != NULL) {
            return ctl_usage("--%s: %s: \"%s\"", option->name, fault, optarg);
        }

        if (args->help || args->version) {
            return CTL_OK;
        }
    }

    while (optind < argc) {
        operands[n++] = argv[optind++];
    }

    if (take_operands(args, operands, n) != CTL_OK) {
        return CTL_USAGE;
    }

    return check_together(args);
}


/* musl takes the operand "-" for the end of all options, which is "--" */

static int
stopped_at_dash(int argc, char **argv)
{
    return optind < argc && strcmp(argv[optind], "-") == 0
           && strcmp(argv[optind - 1], "--") != 0;
}


void
ctl_options_help(unsigned command)
{
    size_t  i;
    char    left[32];

    for (i = 0; i < OPTIONS; i++) {
        if (table[i].commands & command) {
            (void) snprintf(left, sizeof(left), "--%s%s%s", table[i].name,
                            table[i].value != NULL ? " " : "",
                            table[i].value != NULL ? table[i].value : "");
            (void) printf("  %-19s %s\n", left, table[i].help);
        }
    }
}


static void
build(struct option *options, unsigned command)
{
    size_t  i, n;

    for (n = 0, i = 0; i < OPTIONS; i++) {
        if ((table[i].commands & command) == 0) {
            continue;
        }

        options[n].name = table[i].name;
        options[n].has_arg = table[i].value != NULL ? required_argument
                                                    : no_argument;
        options[n].flag = NULL;
        options[n].val = VAL_FIRST + (int) i;
        n++;
    }

    memset(&options[n], 0, sizeof(struct option));
}


static int
refuse(int c, char **argv)
{
    const char  *name;

    if (optopt >= VAL_FIRST) {
        name = table[optopt - VAL_FIRST].name;

        return c == ':' ? ctl_usage("--%s: needs a value", name)
                        : ctl_usage("--%s: takes no value", name);
    }

    if (optopt != 0) {
        return ctl_usage("unknown option \"-%c\"", optopt);
    }

    return ctl_usage("unknown option \"%s\"", argv[optind - 1]);
}


static int
take_operands(ctl_args_t *args, char **operands, int n)
{
    const ctl_command_t  *command;

    command = args->command;

    if (n < command->min) {
        return ctl_usage("missing operand: %s", command->operands);
    }

    if (command->max != -1 && n > command->max) {
        return ctl_usage("extra operand \"%s\"", operands[command->max]);
    }

    if (n > 0) {
        args->store = operands[0];
        args->operands = operands + 1;
        args->noperands = n - 1;
    }

    return CTL_OK;
}


/* options that require or exclude each other */

static int
check_together(ctl_args_t *args)
{
    if (args->command->scope == CTL_SCOPE_REQUIRED && args->scope == NULL) {
        return ctl_usage("--project SLUG or --user ID must be given");
    }

    if (args->scopes == (CTL_BY_PROJECT|CTL_BY_USER)) {
        return ctl_usage("--project and --user exclude each other");
    }

    if (args->atomic && args->stream) {
        return ctl_usage("--atomic and --stream exclude each other");
    }

    if (args->admin && args->ntables > 0) {
        return ctl_usage("--admin and --table exclude each other");
    }

    if (args->kind == EXPORTS_USER && (args->admin || args->ntables > 0)) {
        return ctl_usage("--%s is for tokens of projects",
                         args->admin ? "admin" : "table");
    }

    if (args->status_text == NULL) {
        return CTL_OK;
    }

    args->status = exports_status_parse(args->kind, args->status_text,
                                        strlen(args->status_text));

    if (args->status == 0) {
        return ctl_usage("--status: not %s: \"%s\"",
                         args->kind == EXPORTS_PROJECT
                             ? EXPORTS_PROJECT_STATUS_WORDS
                             : EXPORTS_USER_STATUS_WORDS,
                         args->status_text);
    }

    return CTL_OK;
}


static const char *
set_flag(ctl_args_t *args, size_t field, const char *value)
{
    (void) value;

    *(int *) ((char *) args + field) = 1;

    return NULL;
}


static const char *
set_number(ctl_args_t *args, size_t field, const char *value)
{
    uint64_t  number;

    if (parse_number(&value, &number) != 0 || *value != '\0' || number == 0) {
        return "not a number of 1 or more";
    }

    memcpy((char *) args + field, &number, sizeof(number));

    return NULL;
}


static const char *
set_durability(ctl_args_t *args, size_t field, const char *value)
{
    (void) field;

    args->nometasync = strcmp(value, "nometasync") == 0;

    return args->nometasync || strcmp(value, "full") == 0
               ? NULL : "not full or nometasync";
}


static const char *
set_expires(ctl_args_t *args, size_t field, const char *value)
{
    size_t               i;
    uint64_t             number, now;
    const char          *p;
    static const char    units[] = "smhdw";
    static const unsigned  seconds[] = { 1, 60, 3600, 86400, 604800 };

    (void) field;

    p = value;

    if (parse_number(&p, &number) != 0 || *p == '-') {
        number = 0;
    }

    for (i = 0; number != 0 && units[i] != '\0'; i++) {

        if (p[0] != units[i] || p[1] != '\0') {
            continue;
        }

        now = exports_time_now() / 1000000 * 1000000;

        if (number > (EXPORTS_TIME_MAX - now) / 1000000 / seconds[i]) {
            return "later than the year 9999";
        }

        args->expires = now + number * seconds[i] * 1000000;

        return NULL;
    }

    /* 0 stands for never, so 1970 itself is refused */

    if (exports_time_parse(value, strlen(value), &args->expires) != 0
        || args->expires == 0)
    {
        return "neither an RFC 3339 time nor a time from now, like 30d";
    }

    return NULL;
}


static const char *
set_group(ctl_args_t *args, size_t field, const char *value)
{
    uint64_t       number;
    const char    *p;
    struct group  *group;

    (void) field;

    group = getgrnam(value);

    if (group != NULL) {
        args->group = group->gr_gid;
        return NULL;
    }

    p = value;

    if (parse_number(&p, &number) != 0 || *p != '\0' || number >= (gid_t) -1) {
        return "no such group";
    }

    args->group = (gid_t) number;

    return NULL;
}


static const char *
set_lineage(ctl_args_t *args, size_t field, const char *value)
{
    (void) field;

    if (exports_uuid_parse(args->lineage_bytes, value, strlen(value)) != 0) {
        return "not a UUID";
    }

    args->lineage = args->lineage_bytes;

    return NULL;
}


static const char *
set_map_size(ctl_args_t *args, size_t field, const char *value)
{
    size_t               i, page;
    uint64_t             number;
    static const char    units[] = "kmgt";
    static const char    fault[] = "not a size, like 512m or 64g";

    (void) field;

    if (parse_number(&value, &number) != 0 || number == 0) {
        return fault;
    }

    for (i = 0; *value != '\0' && units[i] != '\0'; i++) {
        if ((*value | 0x20) == units[i]) {

            if (number > (UINT64_MAX >> (10 * (i + 1)))) {
                return "too large";
            }

            number <<= 10 * (i + 1);
            value++;
            break;
        }
    }

    if (*value != '\0') {
        return fault;
    }

    /* LMDB needs whole pages; a process has addresses up to 2^47 */

    page = (size_t) sysconf(_SC_PAGESIZE);

    if (number > (UINT64_C(1) << 47)) {
        return "too large";
    }

    args->map_size = (number + page - 1) / page * page;

    return NULL;
}


static const char *
set_root(ctl_args_t *args, size_t field, const char *value)
{
    (void) field;

    args->root = value;

    return *value == '\0' ? "empty" : NULL;
}


static const char *
set_scope(ctl_args_t *args, size_t kind, const char *value)
{
    args->scopes |= kind == EXPORTS_PROJECT ? CTL_BY_PROJECT : CTL_BY_USER;
    args->kind = (exports_kind_t) kind;
    args->scope = value;
    args->scope_len = strlen(value);

    if (exports_scope_name_valid(args->kind, value, args->scope_len)) {
        return NULL;
    }

    return args->kind == EXPORTS_PROJECT
               ? "not 1 to 128 of a-z, 0-9, _ and -"
               : "not 1 to 64 of A-Z, a-z, 0-9, ., _ and -";
}


static const char *
set_status(ctl_args_t *args, size_t field, const char *value)
{
    (void) field;

    /* which are valid depends on --project and --user, which may follow */

    args->status_text = value;

    return NULL;
}


static const char *
set_table(ctl_args_t *args, size_t field, const char *value)
{
    size_t  len;

    (void) field;

    len = strlen(value);

    if (len == 0 || len > EXPORTS_STRING_MAX) {
        return "not 1 to 1024 bytes";
    }

    if (!exports_utf8_valid(value, len)) {
        return "not UTF-8";
    }

    if (args->ntables == EXPORTS_TOKEN_TABLES_MAX) {
        return "more than 64 tables";
    }

    args->tables[args->ntables++] = value;

    return NULL;
}


/* only digits; *text is moved after them */

static int
parse_number(const char **text, uint64_t *number)
{
    uint64_t     value, digit;
    const char  *p;

    value = 0;

    for (p = *text; *p >= '0' && *p <= '9'; p++) {
        digit = (uint64_t) (*p - '0');

        if (value > (UINT64_MAX - digit) / 10) {
            return -1;
        }

        value = value * 10 + digit;
    }

    if (p == *text) {
        return -1;
    }

    *text = p;
    *number = value;

    return 0;
}
