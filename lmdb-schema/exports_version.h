
/*
 * exports_version.h: the version of the module, the library and the command.
 */

#ifndef EXPORTS_VERSION_H
#define EXPORTS_VERSION_H


#define EXPORTS_VERSION  "0.1.0"


#endif /* EXPORTS_VERSION_H */
