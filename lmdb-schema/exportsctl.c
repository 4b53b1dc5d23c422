
/* exportsctl: the table of commands, and main() */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "exports_version.h"
#include "exportsctl.h"


static int reserve_descriptors(void);
static const ctl_command_t *find_command(int argc, char **argv, int *words);
static int run_top(const ctl_args_t *args);
static int run_command(const ctl_command_t *command, int argc, char **argv);
static void print_usage(const ctl_command_t *command);
static void print_commands(const char *prefix);


static const ctl_command_t  top = {
    "", CTL_TOP, CTL_SCOPE_NONE, 0, 0, "", "", run_top
};


static const ctl_command_t  commands[] = {

    { "init", CTL_INIT, CTL_SCOPE_NONE, 1, 1, "STORE",
      "Makes a store, unless there is one", ctl_init },

    { "import", CTL_IMPORT, CTL_SCOPE_NONE, 2, 2, "STORE FILE|-",
      "Puts manifests and tokens from a file, one a line",
      ctl_import },

    { "put", CTL_PUT, CTL_SCOPE_NONE, 2, 2, "STORE FILE|-",
      "Puts one manifest, which may take several lines", ctl_put },

    { "get", CTL_GET, CTL_SCOPE_REQUIRED, 2, -1, "STORE ID...",
      "Prints manifests, one a line", ctl_get },

    { "list", CTL_LIST, CTL_SCOPE_REQUIRED, 1, 1, "STORE",
      "Lists the manifests of a project or user, newest first", ctl_list },

    { "delete", CTL_DELETE, CTL_SCOPE_REQUIRED, 2, -1, "STORE ID...",
      "Deletes manifests, all in one transaction", ctl_delete },

    { "export", CTL_EXPORT, CTL_SCOPE_OPTIONAL, 1, 1, "STORE",
      "Prints all manifests, one a line, as import reads them", ctl_export },

    { "token create", CTL_TOKEN_CREATE, CTL_SCOPE_REQUIRED, 1, 1, "STORE",
      "Makes a token and prints it, only this once", ctl_token_create },

    { "token import", CTL_TOKEN_IMPORT, CTL_SCOPE_NONE, 2, 2, "STORE FILE|-",
      "Puts tokens that exist already, given by their hashes", ctl_import },

    { "token list", CTL_TOKEN_LIST, CTL_SCOPE_OPTIONAL, 1, 1, "STORE",
      "Lists tokens by their token IDs", ctl_token_list },

    { "token revoke", CTL_TOKEN_REVOKE, CTL_SCOPE_NONE, 2, -1,
      "STORE TOKEN_ID...",
      "Revokes tokens, all in one transaction", ctl_token_revoke },

    { "sweep", CTL_SWEEP, CTL_SCOPE_NONE, 1, 1, "STORE --root DIR",
      "Marks exports that have expired or lost their file", ctl_sweep },

    { "stat", CTL_STAT, CTL_SCOPE_NONE, 1, 1, "STORE",
      "Prints what a store consists of and how full it is", ctl_stat },

    { "verify", CTL_VERIFY, CTL_SCOPE_NONE, 1, 1, "STORE",
      "Checks every record and every index entry", ctl_verify },

    { "backup", CTL_BACKUP, CTL_SCOPE_NONE, 2, 2, "STORE DIRECTORY",
      "Copies a store, compacted, into a new directory", ctl_backup }
};

#define COMMANDS  (sizeof(commands) / sizeof(commands[0]))


int
main(int argc, char **argv)
{
    int                   words;
    const ctl_command_t  *command;

    if (reserve_descriptors() != 0) {
        return CTL_FAILED;
    }

    ctl_arena_init();

    /* a new directory must be open to its owner until it gets its mode */

    (void) umask(umask(0) & ~(mode_t) S_IRWXU);

    /* a limit of the file size, or a reader of our output that is gone, is an
       error to report: what was begun has to be ended properly */

    (void) signal(SIGXFSZ, SIG_IGN);
    (void) signal(SIGPIPE, SIG_IGN);

    if (argc < 2) {
        return ctl_usage("no command is given");
    }

    if (argv[1][0] == '-') {
        return run_command(&top, argc, argv);
    }

    command = find_command(argc, argv, &words);

    if (command != NULL) {
        ctl_set_name(command->name);
        return run_command(command, argc - words, argv + words);
    }

    if (strcmp(argv[1], "token") != 0) {
        return ctl_usage("unknown command \"%s\"", argv[1]);
    }

    if (argc > 2 && strcmp(argv[2], "--help") == 0) {
        (void) printf("usage: exportsctl token COMMAND [OPTION]... STORE "
                      "[OPERAND]...\n\n");
        print_commands("token");
        return ctl_finish(CTL_OK);
    }

    ctl_set_name("token");

    return ctl_usage("create, import, list, or revoke must follow");
}


/* if standard output is closed, a file of the store must not get its number,
   and be printed to */

static int
reserve_descriptors(void)
{
    int  fd;

    for (fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) {
            continue;
        }

        /* opened the wrong way: using it has to fail, as if it were closed */

        if (open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) {
            return -1;
        }
    }

    return 0;
}


static const ctl_command_t *
find_command(int argc, char **argv, int *words)
{
    size_t       i, len;
    const char  *name;

    for (i = 0; i < COMMANDS; i++) {
        name = commands[i].name;
        len = strcspn(name, " ");

        if (strlen(argv[1]) != len || memcmp(argv[1], name, len) != 0) {
            continue;
        }

        if (name[len] == '\0') {
            *words = 1;
            return &commands[i];
        }

        if (argc > 2 && strcmp(argv[2], name + len + 1) == 0) {
            *words = 2;
            return &commands[i];
        }
    }

    return NULL;
}


static int
run_top(const ctl_args_t *args)
{
    if (!args->version) {
        return ctl_usage("no command is given");
    }

    (void) printf("exportsctl " EXPORTS_VERSION " (store format %d)\n",
                  EXPORTS_FORMAT_VERSION);

    return CTL_OK;
}


static int
run_command(const ctl_command_t *command, int argc, char **argv)
{
    int          rc;
    char       **operands;
    ctl_args_t   args;

    operands = calloc((size_t) argc + 1, sizeof(char *));
    if (operands == NULL) {
        return ctl_error("out of memory");
    }

    rc = ctl_options(&args, command, argc, argv, operands);

    if (rc == CTL_OK && args.help) {
        print_usage(command);
        rc = ctl_finish(CTL_OK);

    } else if (rc == CTL_OK) {

        if (command != &top) {
            ctl_guard();
        }

        rc = ctl_finish(command->run(&args));
    }

    free(operands);

    return rc;
}


static void
print_usage(const ctl_command_t *command)
{
    if (command == &top) {
        (void) printf("usage: exportsctl COMMAND [OPTION]... STORE "
                      "[OPERAND]...\n\n"
                      "Writes and reads stores of export manifests.\n\n");
        print_commands("");
        (void) printf("\n");

    } else {
        (void) printf("usage: exportsctl %s [OPTION]... %s\n\n%s.\n\n",
                      command->name, command->operands, command->summary);
    }

    ctl_options_help(command->bit);

    if (command == &top) {
        (void) printf("\n'exportsctl COMMAND --help' lists the options of a "
                      "command.\n");
    }
}


static void
print_commands(const char *prefix)
{
    size_t  i;

    for (i = 0; i < COMMANDS; i++) {
        if (strncmp(commands[i].name, prefix, strlen(prefix)) == 0) {
            (void) printf("  %-14s %s\n", commands[i].name,
                          commands[i].summary);
        }
    }
}
