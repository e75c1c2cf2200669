"""AWS on one machine: moto as control plane, real processes and real traffic as data plane."""
